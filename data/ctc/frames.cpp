#include "data/ctc/frames.h"

#include <algorithm>
#include <cmath>

#include "engine/core/error.h"

namespace alinea {

CtcFrames::CtcFrames(std::span<const float> logits, int64_t labels, int32_t blank) : labels_(labels), blank_(blank) {
  require(labels >= 1 && int64_t(logits.size()) % labels == 0, "CTC: {} logits are not whole frames of {} labels", logits.size(), labels);
  require(blank >= 0 && blank < labels, "CTC: blank {}; expected 0 … {}", blank, labels - 1);
  frames_ = int64_t(logits.size()) / labels;
  log_p_.assign(logits.begin(), logits.end());
  for (auto row = log_p_.begin(); row != log_p_.end(); row += labels) {
    const double top = *std::max_element(row, row + labels);
    double sum = 0;
    for (auto x = row; x != row + labels; ++x) sum += std::exp(*x - top);
    const double total = top + std::log(sum);
    for (auto x = row; x != row + labels; ++x) *x -= total;
  }
}

std::vector<int32_t> best_path(const CtcFrames& frames) {
  std::vector<int32_t> path;
  for (int64_t t = 0; t < frames.frames(); ++t) path.push_back(int32_t(std::max_element(frames[t].begin(), frames[t].end()) - frames[t].begin()));
  return path;
}

double log_add(double a, double b) {
  if (a < b) std::swap(a, b);
  return std::isinf(b) ? a : a + std::log1p(std::exp(b - a));
}

}  // namespace alinea
