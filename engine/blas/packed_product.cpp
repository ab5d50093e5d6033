#include "engine/blas/packed_product.h"

#include <atomic>
#include <cstring>

#include "engine/blas/tile.h"
#include "engine/core/parallel.h"

namespace alinea {

namespace {

constexpr int64_t strip = 12;                                // rows that pass all panels together: one or two blocks of sums
constexpr int64_t most_depth = 400, most_rows = 2048, most_panels = 8;
constexpr int64_t copied_rows = 8 * strip;                   // of a transposed A at a time

int64_t parts(int64_t n, int64_t size) { return (n + size - 1) / size; }

// How C is cut: equal parts of rows, and of whole panels of columns.
struct Cut {
  int64_t rows = 0, panels = 0;                              // of a task
  int64_t row_parts = 0, column_parts = 0, tasks = 0;

  // Of the cuts into parts halved again and again, the one whose slowest thread is ready first. Its time, in vectors of multiplications: rows ·
  // columns / lanes for every k, and what it takes to bring a number of A or B near, which is measured. A thread whose core was lent to another
  // program leaves part of a task to wait for, hence rather four tasks a thread than one.
  Cut(const Gemm& g, int64_t width) {
    constexpr double worthwhile = 1e5;                       // multiplications of a task
    const double work = double(g.batch) * double(g.m) * double(g.n) * double(g.k);
    const int64_t workers = omp_in_parallel() ? 1 : threads(), most = workers == 1 ? 1 : 4 * workers;
    const int64_t wanted = int64_t(std::clamp(work / worthwhile, 1.0, double(most))), busy = std::min(workers, wanted);
    const int64_t all_panels = parts(g.n, width), wide = parts(all_panels, most_panels), tall = parts(g.m, most_rows), high = std::max(tall, g.m / copied_rows);
    double least = 0;
    for (int64_t columns = wide; columns == wide || columns < 2 * std::min(all_panels, wide * wanted); columns *= 2)
      for (int64_t rows = tall; rows == tall || (rows <= high && rows < 2 * wanted); rows *= 2) {
        Cut c;
        c.panels = parts(all_panels, columns), c.column_parts = parts(all_panels, c.panels);
        c.rows = parts(parts(g.m, rows), strip) * strip, c.row_parts = parts(g.m, c.rows);
        c.tasks = g.batch * c.row_parts * c.column_parts;
        const auto r = double(c.rows), n = double(c.panels * width);
        const double each = r * n * 4 / double(width) + 3 * n + (g.transpose_a ? 3 : 1) * r;
        const double time = each * (double(parts(c.tasks, busy)) + (busy > 1 ? 0.3 : 0.0));
        if (tasks == 0 || time < least) *this = c, least = time;
      }
  }

 private:
  Cut() = default;
};

// What one thread works on: a part of C, op(A) and op(B) of the depth in hand.
template <class T>
class Worker {
 public:
  static int64_t memory(const Gemm& g, const Cut& cut) {
    const int64_t depth = std::min(g.k, most_depth);
    return depth * (cut.panels * panel_width<T> + (g.transpose_a ? copied_rows : 0));
  }
  Worker(const Gemm& g, const Cut& cut, T* memory)
      : g_(g), cut_(cut), b_(memory), a_(memory + std::min(g.k, most_depth) * cut.panels * panel_width<T>) {}

  void run(int64_t task, const T* a, const T* b, T* c) {
    const int64_t item = task / (cut_.row_parts * cut_.column_parts), row = task / cut_.column_parts % cut_.row_parts * cut_.rows;
    const int64_t column = task % cut_.column_parts * cut_.panels * panel_width<T>;
    rows_ = std::min(cut_.rows, g_.m - row), columns_ = std::min(cut_.panels * panel_width<T>, g_.n - column);
    a += item * g_.step_a + (g_.transpose_a ? row : row * g_.lda);
    b += item * g_.step_b + (g_.transpose_b ? column * g_.ldb : column);
    c += item * g_.step_c + row * g_.ldc + column;
    add_ = g_.beta != 0 && g_.k > 0;
    if (g_.beta != 1 && (add_ || g_.k == 0)) scale(c);
    const int64_t blocks = parts(g_.k, most_depth - lanes<T>);
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

  void scale(T* c) const {
    for (int64_t i = 0; i < rows_; ++i)
      if (g_.beta == 0) std::fill_n(c + i * g_.ldc, columns_, T(0));
      else scale_rows(c + i * g_.ldc, 0, 1, columns_, T(g_.beta), c + i * g_.ldc, 0);
  }

  // alpha · op(B) in panels; the last panel's columns up to a whole vector are 0.
  void copy_b(const T* b) const {
    const T alpha = T(g_.alpha);
    if (!g_.transpose_b) return pack_panels(b, g_.ldb, depth_, columns_, alpha, b_);
    pack_transposed(b, g_.ldb, columns_, depth_, b_);
    if (alpha != 1) scale_rows(b_, 0, 1, parts(columns_, panel_width<T>) * panel_width<T> * depth_, alpha, b_, 0);
  }

  // Rows of a transposed A as strips [depth, 6].
  void copy_a(const T* a, int64_t rows) const {
    for (int64_t l = 0; l < depth_; ++l, a += g_.lda) {
      int64_t i = 0;
      for (; i < rows; i += 64 / int64_t(sizeof(T))) __builtin_prefetch(a + 12 * g_.lda + i);
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
  const Cut& cut_;
  T *b_, *a_;
  int64_t rows_ = 0, columns_ = 0, depth_ = 0;
  bool add_ = false;                                         // C has something already
};

}  // namespace

template <class T>
void packed_product(const Gemm& g, const T* a, const T* b, T* c) {
  const Cut cut(g, panel_width<T>);
  const auto workers = int(std::min<int64_t>(cut.tasks, omp_in_parallel() ? 1 : threads()));
  const int64_t size = Worker<T>::memory(g, cut);
  const Tensor memory = Context::cpu().empty(Shape{workers, size}, dtype_of<T>);
  std::atomic<int64_t> next = 0;
  parallel_for(workers, 1, [&](int64_t first, int64_t) {
    Worker<T> worker(g, cut, memory.data<T>() + first * size);
    for (int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < cut.tasks;) worker.run(task, a, b, c);
  });
}

template void packed_product(const Gemm&, const float*, const float*, float*);
template void packed_product(const Gemm&, const double*, const double*, double*);

}  // namespace alinea
