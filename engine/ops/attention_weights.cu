#include "engine/ops/attention_weights.cuh"

#include "engine/ops/cuda_attention_kernels.h"

namespace alinea::cuda {

namespace {

// Each row of scores becomes the softmax of what the mask shows of it. A thread meets the same columns every time.
template <class T>
void softmax_rows(const MaskView& mask, T scale, const Tensor& scores) {
  const int64_t H = scores.size(1), rows = scores.size(2), columns = scores.size(3);
  T* data = scores.data<T>();
  each_row(scores.context(), scores.shape().rows(), columns, "attention weights", [=] __device__(int64_t r) {
    T* row = data + r * columns;
    const int64_t n = mask.visible(r / rows / H, r % rows, columns);
    const T most = over_row<T>(n, Max{}, [=](int64_t j) { return row[j] *= scale; });
    const T total = over_row<T>(n, Sum{}, [=](int64_t j) { return row[j] = std::exp(row[j] - most); });
    for (int64_t j = threadIdx.x; j < columns; j += blockDim.x) row[j] = j < n ? row[j] / total : T(0);
  });
}

}  // namespace

void attention_weights(const Mask& mask, double scale, const Tensor& q, const Tensor& k, const Tensor& weights) {
  const MaskOnDevice on_device(mask, q.context());
  with_float(q.dtype(), "attention_weights", [&]<class T>() {
    all_scores<T>(q, k, weights);
    softmax_rows<T>(on_device.view(), T(scale), weights);
  });
}

}  // namespace alinea::cuda
