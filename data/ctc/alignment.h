// Forced alignment: which frames say which label of a text that is known (Viterbi over CTC's states, blank, l_1, blank, …, l_L, blank).
#pragma once
#include <optional>

#include "data/ctc/frames.h"
#include "data/ctc/spans.h"

namespace alinea {

struct CtcAlignment {
  std::vector<LabelSpan> spans;  // one for each label, in order; the frames between them are blank
  double log_probability = 0;    // of the most probable path
};

/// Nothing when no path gives the labels: they need a frame each, and one between equal neighbours. Error{usage} for blank or unknown labels.
std::optional<CtcAlignment> ctc_align(const CtcFrames& frames, std::span<const int32_t> labels);

}  // namespace alinea
