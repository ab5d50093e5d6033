// A Mask on the GPU. Its rules travel as numbers; lengths and write times are copied once per call.
#pragma once
#include "engine/core/cuda_upload.cuh"
#include "engine/core/mask.h"

namespace alinea::cuda {

/// What a kernel reads; valid while the MaskOnDevice that made it lives or work that was queued before is running.
struct MaskView {
  Mask::Rule rule;
  int64_t first_row, wait_k, ratio, chunk, rows;
  const int32_t *source, *target, *written;                 // none where the mask has none

  __device__ int64_t visible(int64_t item, int64_t row, int64_t columns) const {
    const int64_t real = source && source[item] < columns ? source[item] : columns;
    if (target && row >= target[item]) return 0;
    return Mask::under(rule, first_row + row, real, wait_k, ratio, chunk, written ? written[item * rows + row] : 0);
  }
};

class MaskOnDevice {
 public:
  MaskOnDevice(const Mask& mask, Context& context) : view_{mask.rule, mask.first_row, mask.wait_k, mask.ratio, mask.chunk, mask.rows, nullptr, nullptr, nullptr} {
    std::vector<int32_t> all = mask.source_lengths;
    all.insert(all.end(), mask.target_lengths.begin(), mask.target_lengths.end());
    if (mask.rule == Mask::Rule::given) all.insert(all.end(), mask.written_at.begin(), mask.written_at.end());
    if (all.empty()) return;
    values_ = upload(context, all);
    const int32_t* at = values_.data<int32_t>();
    if (!mask.source_lengths.empty()) view_.source = at, at += mask.source_lengths.size();
    if (!mask.target_lengths.empty()) view_.target = at, at += mask.target_lengths.size();
    if (mask.rule == Mask::Rule::given) view_.written = at;
  }
  const MaskView& view() const { return view_; }

 private:
  Tensor values_;
  MaskView view_;
};

}  // namespace alinea::cuda
