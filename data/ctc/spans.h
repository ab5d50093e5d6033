// What a CTC model (Graves et al. 2006) says frame by frame, as labels with the frames they hold.
#pragma once
#include <cstdint>
#include <span>
#include <vector>

namespace alinea {

/// A label and the frames [begin, end) that carry it.
struct LabelSpan {
  int32_t label = 0;
  int64_t begin = 0, end = 0;
  bool operator==(const LabelSpan&) const = default;
};

/// Equal neighbours become one, then blanks are dropped: "aa_ab" -> a, a, b.
std::vector<LabelSpan> collapse(std::span<const int32_t> frames, int32_t blank);

/// Every frame for itself, blanks dropped: ids that were written label by label.
std::vector<LabelSpan> one_by_one(std::span<const int32_t> labels, int32_t blank);

}  // namespace alinea
