// The matrix products of the CPU, each against plain loops.
#include <doctest/doctest.h>

#include <vector>

#include "engine/blas/openblas.h"
#include "engine/blas/packed_product.h"
#include "engine/blas/tile.h"
#include "engine/core/parallel.h"
#include "engine/core/random.h"
#include "tests/engine/normal_numbers.h"

using namespace alinea;

namespace {

template <class T>
double worst_difference(const std::vector<T>& a, const std::vector<T>& b) {
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]) <= 1e30 ? double(std::abs(a[i] - b[i])) : 1e30);   // NaN too
  return worst;
}

// The product of this machine, and both of which it may be, with gaps between the rows.
template <class T>
void check_gemm(Gemm g, double tolerance) {
  const int64_t pad = 3, rows_a = g.transpose_a ? g.k : g.m, rows_b = g.transpose_b ? g.n : g.k;
  g.lda = (g.transpose_a ? g.m : g.k) + pad, g.ldb = (g.transpose_b ? g.k : g.n) + pad, g.ldc = g.n + pad;
  g.step_a = rows_a * g.lda, g.step_b = rows_b * g.ldb, g.step_c = g.m * g.ldc;
  const auto a = normal<T>(g.batch * g.step_a, 1), b = normal<T>(g.batch * g.step_b, 2), c = normal<T>(g.batch * g.step_c, 3);
  auto want = c, chosen = c, packed = c, library = c;
  gemm_plain(g, a.data(), b.data(), want.data());
  gemm(Context::cpu(), g, a.data(), b.data(), chosen.data());
  packed_product(g, a.data(), b.data(), packed.data());
  openblas_product(g, a.data(), b.data(), library.data());
  CAPTURE(g.m);
  CAPTURE(g.n);
  CAPTURE(g.k);
  CAPTURE(g.transpose_a);
  CAPTURE(g.transpose_b);
  CHECK(worst_difference(chosen, want) <= tolerance);
  CHECK(worst_difference(packed, want) <= tolerance);
  CHECK(worst_difference(library, want) <= tolerance);
}

void check_sizes(std::initializer_list<int64_t> batches, std::initializer_list<std::array<int64_t, 3>> sizes) {
  for (const auto& [m, n, k] : sizes)
    for (int flags = 0; flags < 4; ++flags)
      for (const int64_t batch : batches) {
        const Gemm g{.transpose_a = bool(flags & 1), .transpose_b = bool(flags & 2), .m = m, .n = n, .k = k, .alpha = 0.5, .beta = flags == 1 ? 0.0 : flags == 2 ? 1.0 : 1.5,
                     .batch = batch};
        check_gemm<float>(g, 2e-5 * std::sqrt(double(k)));
        check_gemm<double>(g, 1e-12);
      }
}

}  // namespace

TEST_CASE("gemm equals plain loops: transposes, odd sizes, row steps, batches, alpha and beta") {
  check_sizes({1, 3}, {{1, 1, 1}, {3, 5, 7}, {33, 65, 17}, {130, 70, 257}, {1, 300, 64}, {600, 1, 40}, {12, 48, 16}, {25, 95, 31}});
}

TEST_CASE("gemm equals plain loops where the product is cut: depth, columns, rows") {
  check_sizes({1}, {{19, 70, 1210}, {13, 1100, 20}, {2101, 33, 9}, {100, 530, 401}});
}

TEST_CASE("gemm: rows of A and of op(B) may overlap, as the windows of a sequence do") {
  const int64_t width = 40, step = 8, windows = 300;
  const auto sequence = normal<float>(step * windows + width, 1), other = normal<float>(width * windows, 2);
  std::vector<float> y(size_t(windows * 70)), want = y, d(size_t(70 * width)), want_d = d;
  const Gemm forward{.transpose_b = true, .m = windows, .n = 70, .k = width, .lda = step, .ldb = width, .ldc = 70};
  packed_product(forward, sequence.data(), other.data(), y.data());
  gemm_plain(forward, sequence.data(), other.data(), want.data());
  CHECK(worst_difference(y, want) <= 1e-4);
  const Gemm weights{.transpose_a = true, .m = 70, .n = width, .k = windows, .lda = 70, .ldb = step, .ldc = width};
  packed_product(weights, want.data(), sequence.data(), d.data());
  gemm_plain(weights, want.data(), sequence.data(), want_d.data());
  CHECK(worst_difference(d, want_d) <= 2e-3);
}

TEST_CASE("gemm: the packed product has the same bits however many threads share it") {
  const int64_t m = 700, n = 330, k = 500;
  const auto a = normal<float>(m * k, 1), b = normal<float>(n * k, 2);
  const Gemm g{.transpose_b = true, .m = m, .n = n, .k = k, .lda = k, .ldb = k, .ldc = n};
  std::vector<float> want(size_t(m * n));
  const int before = threads();
  set_threads(1);
  packed_product(g, a.data(), b.data(), want.data());
  for (const int count : {2, 3, 5}) {
    set_threads(count);
    std::vector<float> c(size_t(m * n));
    packed_product(g, a.data(), b.data(), c.data());
    CHECK(c == want);
  }
  std::vector<float> inside[2] = {std::vector<float>(size_t(m * n)), std::vector<float>(size_t(m * n))};
  set_threads(2);
  parallel_for(2, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) packed_product(g, a.data(), b.data(), inside[i].data());
  });
  CHECK(inside[0] == want);
  CHECK(inside[1] == want);
  set_threads(before);
}

TEST_CASE("gemm: beta 0 does not read C, and an empty sum scales it") {
  const auto a = normal<float>(20, 1), b = normal<float>(20, 2);
  for (const bool packed : {false, true}) {
    auto run = [&](const Gemm& g, float* c) { packed ? packed_product(g, a.data(), b.data(), c) : openblas_product(g, a.data(), b.data(), c); };
    std::vector<float> c(4, NAN);
    run({.m = 2, .n = 2, .k = 5, .lda = 5, .ldb = 2, .ldc = 2}, c.data());
    for (const float x : c) CHECK(x == x);
    c.assign(4, 3);
    run({.m = 2, .n = 2, .k = 0, .lda = 1, .ldb = 2, .ldc = 2, .beta = 2}, c.data());
    for (const float x : c) CHECK(x == 6);
    c.assign(4, NAN);
    run({.m = 2, .n = 2, .k = 0, .lda = 1, .ldb = 2, .ldc = 2}, c.data());
    for (const float x : c) CHECK(x == 0);
  }
}

TEST_CASE_TEMPLATE("tile product: every number of rows and vectors, both orders of A, stored and added", T, float, double) {
  const int64_t depth = 21, L = lanes<T>;
  for (int64_t rows = 1; rows <= 26; ++rows)
    for (int64_t columns = L; columns <= 6 * L; columns += L)
      for (const bool transposed : {false, true}) {
        const auto a = normal<T>(rows * depth, 1), b = normal<T>(depth * 8 * L, 2);
        auto c = normal<T>(rows * columns, 3), want = c;
        const int64_t row = transposed ? 1 : depth, column = transposed ? rows : 1;
        tile_product<T>({rows, columns, depth, a.data(), row, column, b.data(), panel_width<T>, panel_width<T> * depth, c.data(), columns, transposed});
        for (int64_t i = 0; i < rows; ++i)
          for (int64_t j = 0; j < columns; ++j) {
            double s = transposed ? double(want[size_t(i * columns + j)]) : 0;
            for (int64_t l = 0; l < depth; ++l)
              s += double(a[size_t(i * row + l * column)]) * double(b[size_t(j / panel_width<T> * panel_width<T> * depth + l * panel_width<T> + j % panel_width<T>)]);
            want[size_t(i * columns + j)] = T(s);
          }
        CHECK(worst_difference(c, want) <= (sizeof(T) == 4 ? 2e-5 : 1e-13));
      }
}
