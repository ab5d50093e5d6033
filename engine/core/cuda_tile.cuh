// Products of tiles in shared memory, for kernels that work tile by tile (attention, convolution): 256 threads as 16 x 16, each with a small
// square of the result in registers. Sums run over the depth in order, so results repeat bit by bit.
#pragma once
#include <limits>

#include "engine/core/cuda_reduce.cuh"

namespace alinea::cuda {

/// A tile of side x side numbers. Thread (x, y) holds rows y·micro … and columns x·micro … of it, what 16 bytes hold each way.
template <class T>
struct Tile {
  static constexpr int micro = 16 / int(sizeof(T)), side = 16 * micro;
  T at[micro][micro] = {};

  __device__ static int x() { return int(threadIdx.x) % 16; }
  __device__ static int y() { return int(threadIdx.x) / 16; }
  __device__ static int row(int i) { return y() * micro + i; }
  __device__ static int column(int j) { return x() * micro + j; }
};
inline constexpr int tile_threads = 256;

template <class T>
inline constexpr T lowest = -std::numeric_limits<T>::infinity();

/// What the products read: [depth, side] in shared memory, depth a multiple of `slice` rows that lie `ld` apart. The pad keeps 16-byte reads aligned and
/// spreads the rows over the banks.
template <class T>
struct Panel {
  static constexpr int slice = 32, ld = Tile<T>::side + Tile<T>::micro;
  static constexpr int slice_size = slice * ld, square_size = Tile<T>::side * ld;
};

template <class T>
struct alignas(16) Pack {
  T v[Tile<T>::micro];
};

/// c[r][s] += Σ_{k < depth} a[k][r] b[k][s].
template <class T>
__device__ void multiply(Tile<T>& c, const T* a, const T* b, int depth) {
  using G = Tile<T>;
  a += G::row(0), b += G::column(0);
#pragma unroll 8
  for (int k = 0; k < depth; ++k, a += Panel<T>::ld, b += Panel<T>::ld) {
    const Pack<T> p = *reinterpret_cast<const Pack<T>*>(a), q = *reinterpret_cast<const Pack<T>*>(b);
    for (int i = 0; i < G::micro; ++i)
      for (int j = 0; j < G::micro; ++j) c.at[i][j] += p.v[i] * q.v[j];
  }
}

/// Fills a slice where neighbours in memory are neighbours in depth: to[k][i] = f(k)(i), f(k) is called once per thread. A warp takes 4 runs of 8
/// numbers: whole sectors of memory, and no two lanes in one bank.
template <class T, class F>
__device__ void stage_along_depth(T* to, F f) {
  const int lane = int(threadIdx.x) % 32, warp = int(threadIdx.x) / 32, k = warp % 4 * 8 + lane % 8;
  const auto at = f(k);
  for (int i = warp / 4 * 4 + lane / 8; i < Tile<T>::side; i += 8) to[k * Panel<T>::ld + i] = at(i);
}

/// Fills a slice where neighbours in memory are neighbours along the side: to[k][i] = f(i)(k), f(i) is called once per thread.
template <class T, class F>
__device__ void stage_along_side(T* to, F f) {
  constexpr int side = Tile<T>::side;
  const int i = int(threadIdx.x) % side;
  const auto at = f(i);
  for (int k = int(threadIdx.x) / side; k < Panel<T>::slice; k += tile_threads / side) to[k * Panel<T>::ld + i] = at(k);
}

/// A square of the result to shared memory as the next product's operand: to[row][column], or to[column][row].
template <class T>
__device__ void store_rows(const Tile<T>& c, T* to) {
  using G = Tile<T>;
  for (int i = 0; i < G::micro; ++i)
    for (int j = 0; j < G::micro; ++j) to[G::row(i) * Panel<T>::ld + G::column(j)] = c.at[i][j];
}
template <class T>
__device__ void store_columns(const Tile<T>& c, T* to) {
  using G = Tile<T>;
  for (int j = 0; j < G::micro; ++j)
    for (int i = 0; i < G::micro; ++i) to[G::column(j) * Panel<T>::ld + G::row(i)] = c.at[i][j];
}

/// ⊕ over the 16 threads that share a row of the tile; the same in all of them.
template <class T, class Op>
__device__ T across_row(T v, Op op) {
  for (int w = 8; w > 0; w /= 2) v = op(v, __shfl_xor_sync(all_lanes, v, w));
  return v;
}

}  // namespace alinea::cuda
