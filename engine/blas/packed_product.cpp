#include "engine/blas/packed_product.h"

#include <cstring>

#include "engine/blas/cut.h"
#include "engine/blas/tile.h"

namespace alinea {

namespace {

constexpr int64_t strip = 12;                                // rows that pass all panels together: one or two blocks of sums
constexpr int64_t most_depth = 400;
constexpr int64_t copied_rows = 8 * strip;                   // of a transposed A at a time

template <class T>
constexpr CutRules rules(bool transpose_a) {
  constexpr int64_t width = panel_width<T>;
  return {.strip = strip, .panel = width, .most_rows = 2048, .least_rows = copied_rows, .most_columns = 8 * width,
          .multiplication = 1.0 / lanes<T>, .near_a = transpose_a ? 3.0 : 1.0, .near_b = 3};
}

// What one thread works on: a part of C, op(A) and op(B) of the depth in hand.
template <class T>
class Worker {
 public:
  static int64_t memory(const Gemm& g, const Cut& cut) { return std::min(g.k, most_depth) * (cut.columns + (g.transpose_a ? copied_rows : 0)); }
  Worker(const Gemm& g, const Cut& cut, const Part& part, T* memory)
      : g_(g), b_(memory), a_(memory + std::min(g.k, most_depth) * cut.columns), rows_(part.rows), columns_(part.columns) {}

  void run(const T* a, const T* b, T* c) {
    add_ = g_.beta != 0;
    const int64_t blocks = parts_of(g_.k, most_depth - lanes<T>);
    for (int64_t block = 0; block < blocks; ++block, add_ = true) {
      const int64_t l = cut_depth(block, blocks);
      depth_ = cut_depth(block + 1, blocks) - l;
      copy_b(b + (g_.transpose_b ? l : l * g_.ldb));
      multiply(a + (g_.transpose_a ? l * g_.lda : l), c);
    }
  }

 private:
  // Where a block begins: on a whole vector.
  int64_t cut_depth(int64_t block, int64_t blocks) const { return block == blocks ? g_.k : g_.k * block / blocks / lanes<T> * lanes<T>; }

  // alpha · op(B) in panels; the last panel's columns up to a whole vector are 0.
  void copy_b(const T* b) const {
    const T alpha = T(g_.alpha);
    if (!g_.transpose_b) return pack_panels(b, g_.ldb, depth_, columns_, alpha, b_);
    pack_transposed(b, g_.ldb, columns_, depth_, b_);
    if (alpha != 1) scale_rows(b_, 0, 1, parts_of(columns_, panel_width<T>) * panel_width<T> * depth_, alpha, b_, 0);
  }

  // Rows of a transposed A as strips [depth, 12].
  void copy_a(const T* a, int64_t rows) const {
    constexpr int64_t ahead = 12;                            // rows of memory that are called for in time
    for (int64_t l = 0; l < depth_; ++l, a += g_.lda) {
      int64_t i = 0;
      for (; i < rows; i += 64 / int64_t(sizeof(T))) __builtin_prefetch(a + ahead * g_.lda + i);
      i = 0;
      for (; i + strip <= rows; i += strip) std::memcpy(a_ + i * depth_ + l * strip, a + i, strip * sizeof(T));
      std::copy(a + i, a + rows, a_ + i * depth_ + l * strip);
    }
  }

  // A strip's rows pass all panels before the next strip, several strips at a time where they are short.
  void multiply(const T* a, T* c) const {
    const int64_t together = g_.transpose_a ? strip : std::clamp<int64_t>(most_depth / depth_, 1, copied_rows / strip) * strip;
    for (int64_t chunk = 0; chunk < rows_; chunk += copied_rows) {
      const int64_t count = std::min(copied_rows, rows_ - chunk);
      if (g_.transpose_a) copy_a(a + chunk, count);
      for (int64_t i = 0; i < count; i += together) {
        const T* from = g_.transpose_a ? a_ + i * depth_ : a + (chunk + i) * g_.lda;
        if (!g_.transpose_a) call_for(from + together * g_.lda, together);
        multiply_rows(std::min(together, count - i), from, c + (chunk + i) * g_.ldc);
      }
    }
  }

  // The next rows of A on their way to the second-level cache.
  void call_for(const T* a, int64_t rows) const {
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t l = 0; l < depth_; l += 64 / int64_t(sizeof(T))) __builtin_prefetch(a + i * g_.lda + l, 0, 2);
  }

  void multiply_rows(int64_t rows, const T* a, T* c) const {
    constexpr int64_t width = panel_width<T>, L = lanes<T>;
    const int64_t whole = columns_ / L * L, rest = columns_ - whole;
    TileProduct<T> p{rows, whole, depth_, a, g_.transpose_a ? 1 : g_.lda, g_.transpose_a ? strip : 1, b_, width, width * depth_, c, g_.ldc, add_};
    tile_product(p);
    if (rest == 0) return;
    T last[copied_rows * L];                                 // the columns of a vector that is not whole
    p.b = b_ + whole / width * (width * depth_) + whole % width;
    p.columns = L, p.c = last, p.ldc = L, p.add = false;
    tile_product(p);
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < rest; ++j) {
        T& to = c[i * g_.ldc + whole + j];
        to = last[i * L + j] + (add_ ? to : T(0));
      }
  }

  const Gemm& g_;
  T *b_, *a_;
  int64_t rows_, columns_, depth_ = 0;
  bool add_ = false;                                         // C has something already
};

}  // namespace

template <class T>
void packed_product(const Gemm& g, const T* a, const T* b, T* c) {
  const Cut cut(g, rules<T>(g.transpose_a));
  each_part<T>(g, cut, Worker<T>::memory(g, cut), [&](const Part& part, T* memory) {
    T* to = c + part.item * g.step_c + part.row * g.ldc + part.column;
    scale_part(g, part, to);
    Worker<T>(g, cut, part, memory)
        .run(a + part.item * g.step_a + (g.transpose_a ? part.row : part.row * g.lda), b + part.item * g.step_b + (g.transpose_b ? part.column * g.ldb : part.column), to);
  });
}

template void packed_product(const Gemm&, const float*, const float*, float*);
template void packed_product(const Gemm&, const double*, const double*, double*);

}  // namespace alinea
