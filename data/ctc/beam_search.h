// Prefix beam search (Hannun et al. 2014, "First-pass large vocabulary continuous speech recognition using bi-directional recurrent DNNs",
// without a language model): the most probable label sequences, each with the sum over all its alignments.
//
//   p_b(t, l)   paths of t frames that give the prefix l and end in blank       p_n(t, l): those that end in its last label
//   p_b(t, l)      = y_t(blank) · (p_b + p_n)(t−1, l)
//   p_n(t, l)      = y_t(c) · (p_n(t−1, l) + p_b(t−1, l') + [c ≠ last of l'] p_n(t−1, l'))        l = l' c
//
// Unpruned (beam 0 and no least probability) the scores are exact: −log P of the CTC loss.
#pragma once
#include <limits>

#include "data/ctc/frames.h"

namespace alinea {

struct CtcBeamOptions {
  int64_t beam = 100;             // prefixes that go on from frame to frame; 0: all
  int64_t best = 1;               // sequences to return
  double least_log_probability = -std::numeric_limits<double>::infinity();  // labels below are passed over in a frame (not blank, not the best)
};

struct CtcHypothesis {
  std::vector<int32_t> labels;
  double log_probability = 0;
};

/// The best first; fewer than `best` when there are not as many.
std::vector<CtcHypothesis> ctc_beam_search(const CtcFrames& frames, const CtcBeamOptions& options = {});

}  // namespace alinea
