// Attention row by row: a warp holds one query and meets its keys a few at a time. For decoding, and for sets of keys that are not tiles.
#pragma once
#include "engine/core/cuda_tile.cuh"
#include "engine/ops/heads.h"

namespace alinea::cuda {

inline constexpr int warps_of_block = 8;

/// A row of up to 32 N numbers in a warp: lane l holds numbers l, l + 32, …
template <class T, int N>
struct RowVector {
  T at[N] = {};

  __device__ static int lane() { return int(threadIdx.x) % warp; }
  /// f(n, index) for the numbers of this lane.
  template <class F>
  __device__ static void each(int64_t width, F f) {
    for (int n = 0; n < N; ++n)
      if (const int64_t d = lane() + n * warp; d < width) f(n, d);
  }
  __device__ void read(const T* from, int64_t width) {
    each(width, [&](int n, int64_t d) { at[n] = from[d]; });
  }
  __device__ void write(T* to, int64_t width, T factor) const {
    each(width, [&](int n, int64_t d) { to[d] = at[n] * factor; });
  }
  /// += factor · from
  __device__ void add(T factor, const T* from, int64_t width) {
    each(width, [&](int n, int64_t d) { at[n] += factor * from[d]; });
  }
  /// This lane's part of the product with a row.
  __device__ T part_of_product(const T* row, int64_t width) const {
    T p = 0;
    each(width, [&](int n, int64_t d) { p += at[n] * row[d]; });
    return p;
  }
};

/// f.operator()<N>() with N that holds a width of at most 256.
template <class F>
void with_row_width(int64_t width, F f) {
  if (width <= 64) f.template operator()<2>();
  else f.template operator()<8>();
}

/// One query's softmax while it runs: Σ e^{s − most} v and Σ e^{s − most}.
template <class T, int N>
struct OnlineRow {
  static constexpr int at_once = 4;                          // keys whose products are summed side by side
  RowVector<T, N> query, sums;
  T most = lowest<T>, total = 0;

  /// products[i] = query · key(i) for i < count ≤ at_once, in all lanes.
  template <class K>
  __device__ void multiply(int count, int64_t width, K key, T (&products)[at_once]) const {
    for (int i = 0; i < at_once; ++i) products[i] = i < count ? query.part_of_product(key(i), width) : T(0);
    for (int i = 0; i < at_once; ++i) products[i] = over_warp(products[i], Sum{});
  }
  /// Keys with these scores: value(i) is a row, factor(i) multiplies the weight.
  template <class V, class F>
  __device__ void add(int count, int64_t width, const T (&scores)[at_once], V value, F factor) {
    T top = most;
    for (int i = 0; i < count; ++i) top = Max{}(scores[i], top);
    rescale(top);
    for (int i = 0; i < count; ++i) {
      const T e = std::exp(scores[i] - base());
      total += e;
      sums.add(e * factor(i), value(i), width);
    }
  }
  /// The sums of other keys of the same query.
  __device__ void merge(T other_most, T other_total, const T* other_sums, int64_t width) {
    rescale(Max{}(other_most, most));
    const T factor = std::exp(other_most - base());
    total += factor * other_total;
    sums.add(factor, other_sums, width);
  }
  __device__ T log_sum() const { return total != 0 ? most + std::log(total) : T(0); }
  __device__ T scale() const { return total != 0 ? 1 / total : T(0); }

 private:
  __device__ T base() const { return most == lowest<T> ? T(0) : most; }   // nothing seen so far: all exponentials are 0
  __device__ void rescale(T top) {
    const T before = most;
    most = top;
    const T shrink = std::exp(before - base());
    total *= shrink;
    for (int n = 0; n < N; ++n) sums.at[n] *= shrink;
  }
};

template <class T>
__global__ void row_products_kernel(Heads<const T> a, Heads<const T> b, T* products, int64_t rows, int64_t length, int64_t width) {
  const int64_t row = int64_t(blockIdx.x) * warps_of_block + threadIdx.x / warp;
  if (row >= rows) return;
  const T *x = a.at(row / length, row % length), *y = b.at(row / length, row % length);
  T p = 0;
  for (int64_t d = threadIdx.x % warp; d < width; d += warp) p += x[d] * y[d];
  p = over_warp(p, Sum{});
  if (threadIdx.x % warp == 0) products[row] = p;
}

/// Blocks of `warps_of_block` warps with one warp for each of n rows.
inline int64_t blocks_of_rows(int64_t n) { return (n + warps_of_block - 1) / warps_of_block; }

/// products [B, H, T] = a · b along the last axis of [B, H, T, D].
template <class T>
void row_products(const Tensor& a, const Tensor& b, const Tensor& products) {
  const int64_t rows = products.count();
  launch(a.context(), "row products", blocks_of_rows(rows), warps_of_block * warp, 0, row_products_kernel<T>, Heads<const T>(a), Heads<const T>(b),
         products.data<T>(), rows, a.size(2), a.size(3));
}

}  // namespace alinea::cuda
