#include "engine/ops/mask_frames.h"

#include <cstring>
#include <vector>

#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/row.h"

namespace alinea {

namespace {

// The masks of one call; either may be null.
struct Masks {
  const uint8_t *frames, *channels;
  int64_t T, C;
  uint8_t frame(int64_t row) const { return frames ? frames[row] : MaskFrames::keep; }
  const uint8_t* channels_of(int64_t row) const { return channels ? channels + row / T * C : nullptr; }
};

template <class T>
void clear_channels(T* row, const uint8_t* channels, int64_t C) {
  if (!channels) return;
  for (int64_t c = 0; c < C; ++c)
    if (channels[c]) row[c] = T(0);
}

Masks masks_of(const Tensor& frames, const Tensor& channels, const Shape& x) {
  return {frames ? frames.data<uint8_t>() : nullptr, channels ? channels.data<uint8_t>() : nullptr, x[1], x[2]};
}

}  // namespace

Tensor MaskFrames::forward(const Tensor& x, const Tensor& replacement, const Tensor& frames, const Tensor& channels, Saved* kept) const {
  same_device("mask_frames", x, replacement);
  require(x.rank() == 3, "mask_frames: x is {}, it must be [B, T, C]", x.shape());
  const int64_t C = x.size(2);
  require(!replacement || (replacement.shape() == Shape{C} && replacement.dtype() == x.dtype()), "mask_frames: x is {} {} and fill {} {}; fill must be [C] of x's dtype",
          x.dtype(), x.shape(), replacement.dtype(), replacement.shape());
  require(!frames || frames.shape() == Shape{x.size(0), x.size(1)}, "mask_frames: x is {} and frames {}; frames must be [B, T]", x.shape(), frames.shape());
  require(!channels || channels.shape() == Shape{x.size(0), C}, "mask_frames: x is {} and channels {}; channels must be [B, C]", x.shape(), channels.shape());
  auto as_mask = [&](const Tensor& t) { return t ? t.to(DType::u8).compact().to(x.context()) : Tensor(); };
  const Saved used{as_mask(frames), as_mask(channels)};
  const int64_t rows = x.shape().rows();
  const std::vector<uint8_t> codes = frames ? frames.values<uint8_t>() : std::vector<uint8_t>();
  for (size_t r = 0; r < codes.size(); ++r)
    require(codes[r] <= zero && (codes[r] != fill || replacement), "mask_frames: frame {} has the code {}; codes are 0 (keep), 1 (fill{}) and 2 (zero)", r,
            int(codes[r]), replacement ? "" : ", with a vector to fill in: there is none");
  const Tensor y = x.context().empty(x.shape(), x.dtype());
  auto on_cpu = [&] {
    with_float(x.dtype(), "mask_frames", [&]<class T>() {
      const Masks masks = masks_of(used.frames, used.channels, x.shape());
      const T *in = x.data<T>(), *vector = replacement ? replacement.data<T>() : nullptr;
      T* out = y.data<T>();
      parallel_for(rows, row_grain(C), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) {
          T* row = out + r * C;
          if (masks.frame(r) == zero) std::fill_n(row, C, T(0));
          else std::memcpy(row, masks.frame(r) == fill ? vector : in + r * C, size_t(C) * sizeof(T));
          clear_channels(row, masks.channels_of(r), C);
        }
      });
    });
  };
  on_device(x, on_cpu, [&] { cuda::mask_frames(x, replacement, used.frames, used.channels, y); });
  if (kept) *kept = used;
  return y;
}

Grads<4> MaskFrames::backward(Saved&& kept, Tensor&& g, const Needs<4>& need) const {
  g = g.sole_owner() && g.contiguous() ? g : g.clone();
  const int64_t C = g.size(2), rows = g.shape().rows();
  Grads<4> d;
  if (need[1]) d[1] = g.context().empty({C}, g.dtype());
  if (need[0]) d[0] = g;
  auto on_cpu = [&] {
    const Masks masks = masks_of(kept.frames, kept.channels, g.shape());
    with_float(g.dtype(), "mask_frames", [&]<class T>() {
      T* all = g.data<T>();
      std::vector<double> sums(size_t(C), 0.0);
      parallel_for(rows, row_grain(C), [&](int64_t begin, int64_t end) {
        for (int64_t r = begin; r < end; ++r) clear_channels(all + r * C, masks.channels_of(r), C);
      });
      if (need[1]) {
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t c = 0; c < C && masks.frame(r) == fill; ++c) sums[size_t(c)] += double(all[r * C + c]);
        for (int64_t c = 0; c < C; ++c) d[1].template data<T>()[c] = T(sums[size_t(c)]);
      }
      for (int64_t r = 0; r < rows && need[0]; ++r)
        if (masks.frame(r) != keep) std::fill_n(all + r * C, C, T(0));
    });
  };
  on_device(g, on_cpu, [&] {
    if (need[1]) cuda::mask_frames_fill_gradient(g, kept.frames, kept.channels, d[1]);
    if (need[0]) cuda::mask_frames(g, {}, kept.frames, kept.channels, g);
  });
  return d;
}

}  // namespace alinea
