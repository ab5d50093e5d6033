#include "data/ctc/alignment.h"

#include <limits>

#include "engine/core/error.h"

namespace alinea {

std::optional<CtcAlignment> ctc_align(const CtcFrames& frames, std::span<const int32_t> labels) {
  for (const int32_t label : labels)
    require(label >= 0 && label < frames.labels() && label != frames.blank(), "CTC: label {} cannot be aligned; expected 0 … {}, but not blank ({})", label, frames.labels() - 1,
            frames.blank());
  const int64_t T = frames.frames(), states = 2 * int64_t(labels.size()) + 1;
  const auto label_of = [&](int64_t s) { return s % 2 ? labels[size_t(s / 2)] : frames.blank(); };
  constexpr double impossible = -std::numeric_limits<double>::infinity();
  std::vector<double> score(size_t(states), impossible), before;
  std::vector<uint8_t> steps(size_t(T * states));           // how far before a state its best predecessor lies: 0, 1 or 2
  score[0] = 0;                                             // before the first frame; state 1 is entered from it as from a blank
  for (int64_t t = 0; t < T; ++t) {
    before = score;
    for (int64_t s = 0; s < states; ++s) {
      const bool skips = s >= 2 && s % 2 && label_of(s) != label_of(s - 2);
      uint8_t step = 0;
      double best = before[size_t(s)];
      if (s >= 1 && before[size_t(s - 1)] > best) best = before[size_t(s - 1)], step = 1;
      if (skips && before[size_t(s - 2)] > best) best = before[size_t(s - 2)], step = 2;
      steps[size_t(t * states + s)] = step;
      score[size_t(s)] = best + frames[t][size_t(label_of(s))];
    }
  }
  const int64_t last = states >= 2 && score[size_t(states - 2)] > score[size_t(states - 1)] ? states - 2 : states - 1;
  if (score[size_t(last)] == impossible) return {};
  CtcAlignment alignment{.spans = std::vector<LabelSpan>(labels.size()), .log_probability = score[size_t(last)]};
  for (int64_t t = T - 1, s = last; t >= 0; s -= steps[size_t(t * states + s)], --t) {
    if (s % 2 == 0) continue;
    LabelSpan& span = alignment.spans[size_t(s / 2)];
    if (span.end == 0) span = {label_of(s), t, t + 1};
    span.begin = t;
  }
  return alignment;
}

}  // namespace alinea
