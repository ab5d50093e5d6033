// Log-probabilities of CTC labels, frame by frame.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace alinea {

class CtcFrames {
 public:
  /// log softmax of logits [frames, labels], in double. Error{usage} for a size that does not fit and a blank outside the labels.
  CtcFrames(std::span<const float> logits, int64_t labels, int32_t blank);
  int64_t frames() const { return frames_; }
  int64_t labels() const { return labels_; }
  int32_t blank() const { return blank_; }
  std::span<const double> operator[](int64_t frame) const { return std::span(log_p_).subspan(size_t(frame * labels_), size_t(labels_)); }

 private:
  int64_t frames_ = 0, labels_ = 0;
  int32_t blank_ = 0;
  std::vector<double> log_p_;
};

/// The most probable label of each frame (the first of several).
std::vector<int32_t> best_path(const CtcFrames& frames);

/// log(e^a + e^b), for -inf too.
double log_add(double a, double b);

}  // namespace alinea
