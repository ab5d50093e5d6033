#include "data/ctc/spans.h"

namespace alinea {

std::vector<LabelSpan> collapse(std::span<const int32_t> frames, int32_t blank) {
  std::vector<LabelSpan> spans;
  for (size_t begin = 0, end; begin < frames.size(); begin = end) {
    for (end = begin + 1; end < frames.size() && frames[end] == frames[begin];) ++end;
    if (frames[begin] != blank) spans.push_back({frames[begin], int64_t(begin), int64_t(end)});
  }
  return spans;
}

std::vector<LabelSpan> one_by_one(std::span<const int32_t> labels, int32_t blank) {
  std::vector<LabelSpan> spans;
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels[i] != blank) spans.push_back({labels[i], int64_t(i), int64_t(i) + 1});
  return spans;
}

}  // namespace alinea
