// The host side of softmax attention: the kernels are in softmax_attention_kernels.cuh, compiled by softmax_attention_*.cu.
#include "engine/ops/softmax_attention.cuh"

#include "engine/ops/attention_rows.cuh"
#include "engine/ops/cuda_attention_kernels.h"

namespace alinea::cuda {

namespace {

template <class T>
SoftmaxCall<T> call_of(const SoftmaxAttention& op, const Tensor& q, const Tensor& k, const Tensor& v, const MaskView& mask) {
  const int64_t T_ = q.size(2), S = k.size(2), D = q.size(3);
  return {Heads<const T>(q), Heads<const T>(k), Heads<const T>(v), mask, WeightDropout(op.key, op.dropout, T_, S), q.size(0) * q.size(1), q.size(1), T_, S, D,
          T(op.scale != 0 ? op.scale : 1 / std::sqrt(double(D)))};
}

template <class T>
void backward(const SoftmaxAttention& op, const SoftmaxAttention::Saved& kept, const Tensor& g, const Grads<3>& d) {
  Context& context = g.context();
  const MaskOnDevice mask(op.mask, context);
  const SoftmaxCall<T> c = call_of<T>(op, kept.q, kept.k, kept.v, mask.view());
  const Tensor delta = context.empty(kept.log_sum.shape(), g.dtype());
  row_products<T>(g, kept.y, delta);
  const SoftmaxOuter<T> o{Heads<const T>(g), kept.log_sum.data<T>(), delta.data<T>()};
  with_softmax_tiles<T>(c.width, [&]<int N>() {
    if (d[0]) SoftmaxTiles<T, N>::query_gradient(context, c, o, d[0]);
    if (d[1] || d[2]) SoftmaxTiles<T, N>::key_gradient(context, c, o, d[1], d[2]);
  });
}

}  // namespace

void softmax_attention(const SoftmaxAttention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y, const Tensor& log_sum) {
  const MaskOnDevice mask(op.mask, q.context());
  with_float(q.dtype(), "softmax_attention", [&]<class T>() {
    const SoftmaxCall<T> c = call_of<T>(op, q, k, v, mask.view());
    T* const sums = log_sum ? log_sum.data<T>() : nullptr;
    with_softmax_tiles<T>(c.width, [&]<int N>() { SoftmaxTiles<T, N>::forward(q.context(), c, y, sums); });
  });
}

void softmax_attention_backward(const SoftmaxAttention& op, const SoftmaxAttention::Saved& kept, const Tensor& g, const Grads<3>& d) {
  with_float(g.dtype(), "softmax_attention", [&]<class T>() { backward<T>(op, kept, g, d); });
}

}  // namespace alinea::cuda
