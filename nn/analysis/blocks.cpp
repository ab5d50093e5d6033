#include "nn/analysis/blocks.h"

#include <algorithm>

#include "engine/core/error.h"

namespace alinea {

namespace {

// Σ over [begin, end) × [begin, end) of a value per cell.
template <class T>
class SquareSums {
 public:
  template <class F>
  SquareSums(int64_t n, F&& value) : n_(n + 1), sum_(size_t(n_ * n_), T(0)) {
    for (int64_t i = 1; i <= n; ++i)
      for (int64_t j = 1; j <= n; ++j) at(i, j) = value(i - 1, j - 1) + at(i - 1, j) + at(i, j - 1) - at(i - 1, j - 1);
  }
  T within(int64_t begin, int64_t end) { return at(end, end) - at(begin, end) - at(end, begin) + at(begin, begin); }

 private:
  T& at(int64_t i, int64_t j) { return sum_[size_t(i * n_ + j)]; }
  int64_t n_;
  std::vector<T> sum_;
};

}  // namespace

BlockPartition best_blocks(const Scores& a, int64_t largest, double price) {
  require(a.square() && largest >= 1, "blocks: need a square matrix and a largest block of at least 1, found {} × {} and {}", a.rows, a.columns, largest);
  const int64_t n = a.rows;
  SquareSums<double> mass(n, [&](int64_t i, int64_t j) { return a.at(i, j); });
  SquareSums<int64_t> cells(n, [&](int64_t i, int64_t j) { return int64_t(j < a.visible[size_t(i)]); });
  std::vector<double> best(size_t(n + 1), 0.0);
  std::vector<int64_t> begin(size_t(n + 1), 0);
  for (int64_t j = 1; j <= n; ++j)
    for (int64_t i = std::max<int64_t>(0, j - largest), first = i; i < j; ++i) {
      const double value = best[size_t(i)] + mass.within(i, j) - price * double(cells.within(i, j));
      if (i == first || value > best[size_t(j)]) best[size_t(j)] = value, begin[size_t(j)] = i;
    }
  BlockPartition p;
  for (int64_t end = n; end > 0; end = begin[size_t(end)]) {
    const Block b{begin[size_t(end)], end};
    p.blocks.insert(p.blocks.begin(), b);
    p.mass += mass.within(b.begin, b.end);
    p.cells += cells.within(b.begin, b.end);
  }
  return p;
}

void add_blocks(Cells& kept, const Scores& a, const std::vector<Block>& blocks) {
  for (const Block& b : blocks)
    for (int64_t i = b.begin; i < b.end; ++i)
      for (int64_t j = b.begin; j < std::min(b.end, a.visible[size_t(i)]); ++j) kept.add(i, j);
}

}  // namespace alinea
