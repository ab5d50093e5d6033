#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/mask_frames.h"

namespace alinea::cuda {

namespace {

// What becomes of element (row, channel).
struct Masks {
  const uint8_t *frames, *channels;                          // either may be null
  int64_t steps, C;
  __device__ uint8_t code(int64_t row, int64_t c) const {
    if (channels && channels[row / steps * C + c]) return MaskFrames::zero;
    return frames ? frames[row] : uint8_t(MaskFrames::keep);
  }
};

Masks masks_of(const Tensor& frames, const Tensor& channels, const Tensor& x) { return {pointer<uint8_t>(frames), pointer<uint8_t>(channels), x.size(1), x.size(2)}; }

template <class T>
void replace(const Tensor& x, const Tensor& fill, Masks masks, const Tensor& y) {
  const T *in = x.data<T>(), *vector = pointer<T>(fill);
  T* out = y.data<T>();
  each(x.context(), x.count(), "mask_frames", [=] __device__(int64_t i) {
    const int64_t c = i % masks.C;
    const uint8_t code = masks.code(i / masks.C, c);
    out[i] = code == MaskFrames::keep ? in[i] : code == MaskFrames::fill && vector ? vector[c] : T(0);
  });
}

template <class T>
void fill_gradient(const Tensor& g, Masks masks, const Tensor& dfill) {
  const T* in = g.data<T>();
  sum_columns<T, 1>(g.context(), g.shape().rows(), masks.C, "mask_frames backward", {{dfill.data<T>()}, {T(0)}}, [=] __device__(int64_t r, int64_t c, T* s) {
    if (masks.code(r, c) == MaskFrames::fill) *s += in[r * masks.C + c];
  });
}

}  // namespace

void mask_frames(const Tensor& x, const Tensor& fill, const Tensor& frames, const Tensor& channels, const Tensor& y) {
  with_float(x.dtype(), "mask_frames", [&]<class T>() { replace<T>(x, fill, masks_of(frames, channels, x), y); });
}

void mask_frames_fill_gradient(const Tensor& g, const Tensor& frames, const Tensor& channels, const Tensor& dfill) {
  with_float(g.dtype(), "mask_frames", [&]<class T>() { fill_gradient<T>(g, masks_of(frames, channels, g), dfill); });
}

}  // namespace alinea::cuda
