// How a product is cut into tasks for the threads: some rows by some columns of C, for all of k, so that no two threads write one number and a
// number is summed in the same order whoever computes it and however C is cut.
#pragma once
#include <algorithm>
#include <atomic>

#include "engine/blas/gemm.h"
#include "engine/core/parallel.h"

namespace alinea {

constexpr int64_t parts_of(int64_t n, int64_t size) { return (n + size - 1) / size; }

/// What a kernel wants of its tasks, and measured costs: of a multiplication, and of bringing near a number of A or of B, in one unit.
struct CutRules {
  int64_t strip, panel;                                      // rows and columns are cut in multiples of these
  int64_t most_rows, least_rows, most_columns;
  double multiplication, near_a, near_b;
};

struct Part {
  int64_t item, row, rows, column, columns;
};

struct Cut {
  int64_t rows = 0, columns = 0;                             // of a task
  int64_t row_parts = 0, column_parts = 0, tasks = 0;

  // Of the cuts into parts halved again and again, the one whose slowest thread is ready first: for every k, rows · columns multiplications, a
  // number of A for every row and one of B for every column. A thread whose core was lent to another program leaves part of a task to wait
  // for, hence rather four tasks a thread than one.
  Cut(const Gemm& g, const CutRules& rules) {
    constexpr double worthwhile = 1e5;                       // multiplications of a task
    const double work = double(g.batch) * double(g.m) * double(g.n) * double(g.k);
    const int64_t workers = omp_in_parallel() ? 1 : threads(), most = workers == 1 ? 1 : 4 * workers;
    const int64_t wanted = int64_t(std::clamp(work / worthwhile, 1.0, double(most))), busy = std::min(workers, wanted);
    const int64_t panels = parts_of(g.n, rules.panel), wide = parts_of(g.n, rules.most_columns);
    const int64_t tall = parts_of(g.m, rules.most_rows), high = std::max(tall, g.m / rules.least_rows);
    double least = 0;
    for (int64_t across = wide; across == wide || across < 2 * std::min(panels, wide * wanted); across *= 2)
      for (int64_t down = tall; down == tall || (down <= high && down < 2 * wanted); down *= 2) {
        Cut c;
        c.columns = parts_of(panels, across) * rules.panel, c.column_parts = parts_of(g.n, c.columns);
        c.rows = parts_of(parts_of(g.m, down), rules.strip) * rules.strip, c.row_parts = parts_of(g.m, c.rows);
        c.tasks = g.batch * c.row_parts * c.column_parts;
        const auto r = double(c.rows), n = double(c.columns);
        const double each = r * n * rules.multiplication + rules.near_b * n + rules.near_a * r;
        const double time = each * (double(parts_of(c.tasks, busy)) + (busy > 1 ? 0.3 : 0.0));
        if (tasks == 0 || time < least) *this = c, least = time;
      }
  }

  Part part(const Gemm& g, int64_t task) const {
    const int64_t row = task / column_parts % row_parts * rows, column = task % column_parts * columns;
    return {task / (row_parts * column_parts), row, std::min(rows, g.m - row), column, std::min(columns, g.n - column)};
  }

 private:
  Cut() = default;
};

/// f(part, memory) for every task, threads taking the next one when they are ready, each with `numbers` numbers of its own. Inside a parallel
/// region: on the calling thread alone.
template <class T, class F>
void each_part(const Gemm& g, const Cut& cut, int64_t numbers, F&& f) {
  const int64_t workers = std::min<int64_t>(cut.tasks, omp_in_parallel() ? 1 : threads());
  const Tensor memory = Context::cpu().empty(Shape{workers, numbers}, dtype_of<T>);
  std::atomic<int64_t> next = 0;
  parallel_for(workers, 1, [&](int64_t worker, int64_t) {
    for (int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < cut.tasks;) f(cut.part(g, task), memory.data<T>() + worker * numbers);
  });
}

/// C = beta · C for a part of C, unless beta is 1, or 0 and the first sum overwrites what is there.
template <class T>
void scale_part(const Gemm& g, const Part& part, T* c) {
  if (g.beta == 1 || (g.beta == 0 && g.k > 0)) return;
  for (int64_t i = 0; i < part.rows; ++i)
    for (int64_t j = 0; j < part.columns; ++j) c[i * g.ldc + j] = g.beta == 0 ? T(0) : T(g.beta) * c[i * g.ldc + j];
}

}  // namespace alinea
