// Convolutions without im2col: products of tiles whose operands are read from x, g and the weights where they lie. One set of kernels for one and
// two axes, with groups and strides. In input_gradient the input rows and columns of one residue modulo the stride go together, since the same
// taps reach them: no product is with a zero that the stride put there.
#include "engine/ops/cuda_conv.h"

#include "engine/core/cuda_tile.cuh"

namespace alinea::cuda {

namespace {

// Where an output's window begins in x, as item, row and column.
struct Place {
  int64_t item, row, column;
};
__device__ Place window_of(const Convolution& c, int64_t output) {
  return {output / (c.rows * c.columns), output / c.columns % c.rows * c.s0 - c.p0, output % c.columns * c.s1 - c.p1};
}

// x of a group at a tap of a window, or none where the tap lies outside.
template <class T>
__device__ const T* tap_at(const Convolution& c, const T* x, const Place& w, int64_t tap) {
  const int64_t row = w.row + tap / c.N, column = w.column + tap % c.N;
  return row < 0 || row >= c.H || column < 0 || column >= c.W ? nullptr : x + ((w.item * c.H + row) * c.W + column) * c.C;
}

// h[output, o] = Σ_{tap, channel} x weight[tap, channel, o];  blocks: (output tiles · o tiles) x groups.
template <class T>
__global__ void forward_kernel(Convolution c, const T* x, const T* weight, T* h) {
  using G = Tile<T>;
  alignas(16) __shared__ T a[Panel<T>::slice_size], b[Panel<T>::slice_size];
  __shared__ Place windows[G::side];
  const int64_t group = blockIdx.y, tiles = (c.out() + G::side - 1) / G::side, first = blockIdx.x / tiles * G::side, o0 = blockIdx.x % tiles * G::side;
  const int64_t in = c.in(), depth = c.M * c.N * in;
  for (int i = int(threadIdx.x); i < G::side; i += tile_threads) windows[i] = window_of(c, first + i);
  const Place* const window = windows;
  G sums;
  for (int64_t k0 = 0; k0 < depth; k0 += Panel<T>::slice) {
    __syncthreads();
    stage_along_depth<T>(a, [&](int k) {
      const int64_t tap = (k0 + k) / in, channel = group * in + (k0 + k) % in, count = k0 + k < depth ? c.outputs() - first : 0;
      return [=, &c](int i) {
        const T* at = i < count ? tap_at(c, x, window[i], tap) : nullptr;
        return at ? at[channel] : T(0);
      };
    });
    stage_along_side<T>(b, [&](int i) {
      const int64_t o = o0 + i, count = o < c.out() ? depth - k0 : 0;
      const T* from = weight + k0 * c.O + group * c.out() + o;
      return [=, &c](int k) { return k < count ? from[k * c.O] : T(0); };
    });
    __syncthreads();
    multiply(sums, a, b, Panel<T>::slice);
  }
  for (int i = 0; i < G::micro; ++i)
    for (int j = 0; j < G::micro; ++j)
      if (const int64_t output = first + G::row(i), o = o0 + G::column(j); output < c.outputs() && o < c.out()) h[output * c.O + group * c.out() + o] = sums.at[i][j];
}

// Sums over the outputs of part blockIdx.z of `parts`: to[part, o, channel, tap] = Σ g x.  blocks: (o tiles · tiles of channels and taps) x groups x parts.
template <class T>
__global__ void weight_gradient_kernel(Convolution c, const T* g, const T* x, T* to) {
  using G = Tile<T>;
  constexpr int slice = Panel<T>::slice;
  alignas(16) __shared__ T a[Panel<T>::slice_size], b[Panel<T>::slice_size];
  __shared__ Place windows[slice];
  const int64_t in = c.in(), taps = c.M * c.N, width = taps * in, tiles = (width + G::side - 1) / G::side;
  const int64_t group = blockIdx.y, o0 = blockIdx.x / tiles * G::side, w0 = blockIdx.x % tiles * G::side;
  const int64_t begin = c.outputs() * blockIdx.z / gridDim.z, end = c.outputs() * (blockIdx.z + 1) / gridDim.z;
  const Place* const window = windows;
  G sums;
  for (int64_t r = begin; r < end; r += slice) {
    __syncthreads();
    if (threadIdx.x < slice) windows[threadIdx.x] = window_of(c, r + threadIdx.x);
    stage_along_side<T>(a, [&](int i) {
      const int64_t count = o0 + i < c.out() ? end - r : 0;
      const T* from = g + r * c.O + group * c.out() + o0 + i;
      return [=, &c](int k) { return k < count ? from[k * c.O] : T(0); };
    });
    __syncthreads();
    stage_along_side<T>(b, [&](int i) {
      const int64_t tap = (w0 + i) / in, channel = group * in + (w0 + i) % in, count = w0 + i < width ? end - r : 0;
      return [=, &c](int k) {
        const T* at = k < count ? tap_at(c, x, window[k], tap) : nullptr;
        return at ? at[channel] : T(0);
      };
    });
    __syncthreads();
    multiply(sums, a, b, slice);
  }
  for (int i = 0; i < G::micro; ++i)
    for (int j = 0; j < G::micro; ++j)
      if (const int64_t o = o0 + G::row(i), w = w0 + G::column(j); o < c.out() && w < width)
        to[((blockIdx.z * c.O + group * c.out() + o) * in + w % in) * taps + w / in] = sums.at[i][j];
}

// The input places that one residue class of taps reaches: rows f0 - p0 + s0 · n and columns f1 - p1 + s1 · n, and the taps m = f0 + s0 · n … of it.
struct Residue {
  int64_t f0, f1, rows, columns, M, N;
  __device__ Residue(const Convolution& c, int64_t residue)
      : f0(residue / c.s1), f1(residue % c.s1), rows((c.H + c.p0 - f0 + c.s0 - 1) / c.s0), columns((c.W + c.p1 - f1 + c.s1 - 1) / c.s1),
        M(f0 < c.M ? (c.M - 1 - f0) / c.s0 + 1 : 0), N(f1 < c.N ? (c.N - 1 - f1) / c.s1 + 1 : 0) {}
};

// dx[place, channel] = Σ_{tap, o} g[output that has the place under this tap, o] weight[tap, o, channel];  blocks: (place tiles · channel tiles) x groups x residues.
template <class T>
__global__ void input_gradient_kernel(Convolution c, const T* g, const T* weight, T* dx) {
  using G = Tile<T>;
  alignas(16) __shared__ T a[Panel<T>::slice_size], b[Panel<T>::slice_size];
  __shared__ Place places[G::side];
  const Residue f(c, blockIdx.z);
  const int64_t in = c.in(), out = c.out(), tiles = (in + G::side - 1) / G::side, first = blockIdx.x / tiles * G::side, c0 = blockIdx.x % tiles * G::side, group = blockIdx.y;
  const int64_t all = c.B * f.rows * f.columns, depth = f.M * f.N * out;
  if (first >= all) return;
  for (int i = int(threadIdx.x); i < G::side; i += tile_threads) {
    const int64_t n = first + i;
    places[i] = {n / (f.rows * f.columns), n / f.columns % f.rows, n % f.columns};   // the output row and column under the first tap
  }
  const Place* const place = places;
  G sums;
  for (int64_t k0 = 0; k0 < depth; k0 += Panel<T>::slice) {
    __syncthreads();
    stage_along_depth<T>(a, [&](int k) {
      const int64_t tap = (k0 + k) / out, m = tap / f.N, n = tap % f.N, o = group * out + (k0 + k) % out, count = k0 + k < depth ? all - first : 0;
      return [=, &c](int i) {
        if (i >= count) return T(0);
        const int64_t row = place[i].row - m, column = place[i].column - n;
        return row < 0 || row >= c.rows || column < 0 || column >= c.columns ? T(0) : g[((place[i].item * c.rows + row) * c.columns + column) * c.O + o];
      };
    });
    stage_along_side<T>(b, [&](int i) {
      const int64_t channel = c0 + i, count = channel < in ? depth - k0 : 0;
      return [=, &c, &f](int k) {
        if (k >= count) return T(0);
        const int64_t tap = (k0 + k) / out, m = f.f0 + tap / f.N * c.s0, n = f.f1 + tap % f.N * c.s1;
        return weight[((m * c.N + n) * c.O + group * out + (k0 + k) % out) * in + channel];
      };
    });
    __syncthreads();
    multiply(sums, a, b, Panel<T>::slice);
  }
  __syncthreads();                                           // places, where there are no taps
  for (int i = 0; i < G::micro; ++i) {
    const Place& p = places[G::row(i)];
    const int64_t row = f.f0 - c.p0 + c.s0 * p.row, column = f.f1 - c.p1 + c.s1 * p.column;
    if (first + G::row(i) >= all || row < 0 || row >= c.H || column < 0 || column >= c.W) continue;
    T* to = dx + ((p.item * c.H + row) * c.W + column) * c.C + group * in + c0;
    for (int j = 0; j < G::micro; ++j)
      if (c0 + G::column(j) < in) to[G::column(j)] = sums.at[i][j];
  }
}

int64_t tiles(int64_t n, int side) { return (n + side - 1) / side; }

// weight [O, C, taps] with the axes in another order.
Tensor repacked(const Convolution& c, const Tensor& weight, std::initializer_list<int> order) { return weight.reshape({c.O, c.in(), c.M * c.N}).permute(order).compact(); }

template <class T>
void add_parts(const Tensor& partial, const GradTarget& target) {
  const T* from = partial.data<T>();
  T* to = target.tensor.template data<T>();
  const int64_t n = target.tensor.count(), parts = partial.size(0);
  const bool add = target.beta != 0;
  each(partial.context(), n, "convolution: weight gradient", [=] __device__(int64_t i) {
    T s = add ? to[i] : T(0);
    for (int64_t p = 0; p < parts; ++p) s += from[p * n + i];
    to[i] = s;
  });
}

}  // namespace

void convolve(const Convolution& c, const Tensor& x, const Tensor& weight, const Tensor& h) {
  with_float(x.dtype(), "convolution", [&]<class T>() {
    const Tensor w = repacked(c, weight, {2, 1, 0});
    const int64_t blocks = tiles(c.outputs(), Tile<T>::side) * tiles(c.out(), Tile<T>::side);
    launch(x.context(), "convolution", Blocks(blocks, c.groups), tile_threads, 0, forward_kernel<T>, c, x.data<T>(), w.data<T>(), h.data<T>());
  });
}

Tensor convolution_weight_gradient(const Convolution& c, const Tensor& g, const Tensor& x, const Need& need, const Shape& shape) {
  const GradTarget target(need, shape, x.dtype(), x.context());
  with_float(x.dtype(), "convolution: weight gradient", [&]<class T>() {
    constexpr int64_t side = Tile<T>::side, enough_blocks = 512, least_outputs = 256;
    const int64_t blocks = tiles(c.out(), side) * tiles(c.in() * c.M * c.N, side);
    const int64_t parts = std::clamp<int64_t>(std::min(enough_blocks / (blocks * c.groups), c.outputs() / least_outputs), 1, 64);
    const Tensor partial = x.context().empty(Shape{parts, target.tensor.count()}, x.dtype());
    launch(x.context(), "convolution: weight gradient", Blocks(blocks, c.groups, parts), tile_threads, 0, weight_gradient_kernel<T>, c, g.data<T>(),
           x.data<T>(), partial.data<T>());
    add_parts<T>(partial, target);
  });
  return target.tensor;
}

Tensor convolution_input_gradient(const Convolution& c, const Tensor& g, const Tensor& weight, const Shape& shape) {
  const Tensor dx = g.context().empty(shape, g.dtype());
  with_float(g.dtype(), "convolution: input gradient", [&]<class T>() {
    const Tensor w = repacked(c, weight, {2, 0, 1});
    const int64_t most = c.B * tiles(c.H + c.p0, int(c.s0)) * tiles(c.W + c.p1, int(c.s1));
    const int64_t blocks = tiles(most, Tile<T>::side) * tiles(c.in(), Tile<T>::side);
    launch(g.context(), "convolution: input gradient", Blocks(blocks, c.groups, c.s0 * c.s1), tile_threads, 0, input_gradient_kernel<T>, c, g.data<T>(),
           w.data<T>(), dx.data<T>());
  });
  return dx;
}

}  // namespace alinea::cuda
