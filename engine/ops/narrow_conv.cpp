#include "engine/ops/narrow_conv.h"

#include <algorithm>
#include <vector>

#include "engine/blas/tile.h"
#include "engine/core/parallel.h"

namespace alinea {

namespace {

// A matrix [rows, taps] for each of `count` channels -> [taps, count, rows], from the last tap to the first if `flipped`. rows: whole vectors.
template <class T>
ALINEA_KERNEL void taps_first(const T* from, int64_t count, int64_t channel_step, int64_t rows, int64_t row_step, int64_t taps, bool flipped, T* to) {
  constexpr int64_t n = lanes<T>;
  for (int64_t c = 0; c < count; ++c)
    for (int64_t r = 0; r < rows; r += n)
      for (int64_t k = 0; k < taps; k += n) {
        const int64_t real = std::min(n, taps - k);
        Vec<T> v[n];
        for (int64_t i = 0; i < n; ++i) {
          const T* row = from + c * channel_step + (r + i) * row_step + k;
          v[i] = real == n ? load(row) : load_part(row, real);
        }
        transpose_square<T>(v);
        for (int64_t i = 0; i < real; ++i) store(to + ((flipped ? taps - 1 - k - i : k + i) * count + c) * rows + r, v[i]);
      }
}

}  // namespace

template <class T>
bool NarrowConv::fits() const {
  return groups > 1 && out % lanes<T> == 0 && out <= 64 && rows >= 4 && in * taps % lanes<T> == 0 && in * taps >= 256;
}

template <class T>
void NarrowConv::pack_weights(const T* weight, bool flipped, T* packed) const {
  const int64_t each = out * in * taps;
  parallel_for(groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      if (flipped) taps_first(weight + g * each, in, out * taps, out, taps, taps, true, packed + g * each);
      else taps_first(weight + g * each, in, taps, out, in * taps, taps, false, packed + g * each);
    }
  });
}

template <class T>
void NarrowConv::forward(const T* source, const T* packed, T* h) const {
  constexpr int64_t near_cache = 32 * 1024 / int64_t(sizeof(T));
  const int64_t block = std::max<int64_t>(1, near_cache / (in * out)), width = groups * out;
  parallel_for(B * groups, 1, [&](int64_t begin, int64_t end) {
    std::vector<T> last(size_t(4 * out));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t item = i / groups, group = i % groups;
      const T *x = source + (group * B + item) * length * in, *w = packed + group * taps * in * out;
      T* y = h + item * rows * width + group * out;
      TileProduct<T> p{.rows = rows / 4 * 4, .columns = out, .depth = 0, .a = x, .row = stride * in, .column = 1, .b = w, .ldb = out, .panel = panel_width<T>, .c = y, .ldc = width, .add = false};
      for (int64_t k = 0; k < taps; k += block, p.add = true) {
        p.depth = std::min(block, taps - k) * in, p.a = x + k * in, p.b = w + k * in * out;
        tile_product(p);
      }
      const int64_t rest = rows % 4;                         // the last four rows once more, of which these are kept
      if (rest == 0) continue;
      tile_product(TileProduct<T>{.rows = 4, .columns = out, .depth = taps * in, .a = x + (rows - 4) * stride * in, .row = stride * in, .column = 1, .b = w, .ldb = out,
                                  .panel = panel_width<T>, .c = last.data(), .ldc = out, .add = false});
      for (int64_t r = 0; r < rest; ++r) std::copy_n(last.data() + (4 - rest + r) * out, out, y + (rows - rest + r) * width);
    }
  });
}

template <class T>
void NarrowConv::weight_gradient(const T* source, const T* g, T* dw) const {
  const int64_t width = groups * out;
  parallel_for(groups, 1, [&](int64_t begin, int64_t end) {
    std::vector<T> columns(size_t(rows * out));
    for (int64_t group = begin; group < end; ++group)
      for (int64_t item = 0; item < B; ++item) {
        for (int64_t t = 0; t < rows; ++t) std::copy_n(g + (item * rows + t) * width + group * out, out, columns.data() + t * out);
        tile_product(TileProduct<T>{.rows = out, .columns = taps * in, .depth = rows, .a = columns.data(), .row = 1, .column = out,
                                    .b = source + (group * B + item) * length * in, .ldb = stride * in, .panel = panel_width<T>,
                                    .c = dw + group * out * taps * in, .ldc = taps * in, .add = item > 0});
      }
  });
}

#define ALINEA_NARROW_CONV(T)                                                     \
  template bool NarrowConv::fits<T>() const;                                      \
  template void NarrowConv::pack_weights(const T*, bool, T*) const;               \
  template void NarrowConv::forward(const T*, const T*, T*) const;                \
  template void NarrowConv::weight_gradient(const T*, const T*, T*) const;
ALINEA_NARROW_CONV(float)
ALINEA_NARROW_CONV(double)

}  // namespace alinea
