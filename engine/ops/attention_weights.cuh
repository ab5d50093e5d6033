// Whole matrices of attention weights, which are looked at and not computed with: the scores of all pairs, which each row then turns into weights.
#pragma once
#include "engine/ops/cuda_attention.cuh"

namespace alinea::cuda {

// blocks: (unit · row tiles) x column tiles.
template <class T>
__global__ void all_scores_kernel(Heads<const T> a, Heads<const T> b, T* scores, int64_t rows, int64_t columns, int64_t width) {
  using G = Tile<T>;
  alignas(16) __shared__ T a_slice[Panel<T>::slice_size], b_slice[Panel<T>::slice_size];
  const int64_t tiles = (rows + G::side - 1) / G::side, unit = blockIdx.x / tiles, first = blockIdx.x % tiles * G::side, first_column = int64_t(blockIdx.y) * G::side;
  G s;
  add_scores(s, HeadRows<T>(a, unit, first, rows, width), HeadRows<T>(b, unit, first_column, columns, width), width, a_slice, b_slice);
  for (int i = 0; i < G::micro; ++i)
    for (int j = 0; j < G::micro; ++j)
      if (const int64_t row = first + G::row(i), column = first_column + G::column(j); row < rows && column < columns)
        scores[(unit * rows + row) * columns + column] = s.at[i][j];
}

/// scores [B, H, T, S] = a bᵀ, a [B, H, T, M], b [B, H, S, M].
template <class T>
void all_scores(const Tensor& a, const Tensor& b, const Tensor& scores) {
  constexpr int64_t side = Tile<T>::side;
  const int64_t rows = a.size(2), columns = b.size(2);
  launch(a.context(), "attention weights", Blocks(a.size(0) * a.size(1) * ((rows + side - 1) / side), (columns + side - 1) / side), tile_threads, 0, all_scores_kernel<T>,
         Heads<const T>(a), Heads<const T>(b), scores.data<T>(), rows, columns, a.size(3));
}

}  // namespace alinea::cuda
