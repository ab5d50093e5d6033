#include "tests/engine/structured.h"

using namespace alinea;

TEST_CASE("literal attention equals (P + E) v with every gradient, and E stays within its bound") {
  for (const int64_t n : {1, 5, 40, 530})
    for (const bool causal : {false, true}) {
      LiteralAttention op{.eps = 0.3, .key = {21}};
      op.pattern.heads = {{.half_width = 3}, {.half_width = 1}};
      op.pattern.columns = {{{0, {0, int32_t(n - 1)}}}, {{0, {int32_t(n / 2)}}}};
      if (n == 1) op.pattern.columns[0][0].columns = {0};
      if (causal) op.pattern.mask.rule = Mask::Rule::causal;
      op.pattern.mask.source_lengths = {int32_t(n), int32_t(n / 2 + 1)};
      const int64_t entries = n == 1 ? 1 : 12;
      Problem x = problem(2, 2, n, n, 5, op.pattern, uint64_t(n));
      x.q = x.k = Tensor();
      const Tensor residual = noise({2, entries}, 22), e = Context::cpu().zeros({2, 2, n, n}, DType::f64);
      for (int64_t u = 0; u < 4; ++u) {
        const auto places = residual_positions(op.key, u % 2, entries, n, causal);
        for (size_t i = 0; i < places.size(); ++i) {
          const auto [row, column] = places[i];
          if (column < op.pattern.mask.visible(u / 2, row, n))
            e.data<double>()[(u * n + row) * n + column] = 0.3 * std::tanh(residual.data<double>()[u % 2 * entries + int64_t(i)] / 0.3);
        }
      }
      double largest = 0;
      for (const double value : e.values<double>()) largest = std::max(largest, std::abs(value));
      CHECK(largest <= 0.3);
      const auto expected = dense(x, op.pattern, 2, n, 1, e);
      LiteralAttention::Saved kept;
      const Tensor y = op.forward(x.v, x.band, x.column, residual, &kept);
      const auto d = op.backward(std::move(kept), Tensor(x.g), {});
      CHECK(difference(y, expected[0]) < 1e-12);
      CHECK(difference(d[0], expected[3]) < 1e-12);
      CHECK(difference(d[1], expected[4]) < 1e-11);
      CHECK(difference(d[2], expected[5]) < 1e-11);
      double slope = 0;                                                           // of the first entry of head 0
      const auto [row, column] = residual_positions(op.key, 0, entries, n, causal)[0];
      for (int64_t b = 0; b < 2; ++b)
        for (int64_t c = 0; c < 5 && column < op.pattern.mask.visible(b, row, n); ++c)
          slope += x.g.data<double>()[(b * 2 * n + row) * 5 + c] * x.v.data<double>()[(b * 2 * n + column) * 5 + c];
      const double t = std::tanh(residual.data<double>()[0] / 0.3);
      CHECK(std::abs(d[3].values<double>()[0] - (1 - t * t) * slope) < 1e-12);
      const Tensor weights = literal_weights(op, x.v, x.band, x.column, residual);
      double total = 0, sum = 0;
      for (const double w : weights.values<double>()) total += w;
      for (const double w : e.values<double>()) sum += w;
      int64_t rows = 0;
      for (int64_t b = 0; b < 2; ++b)
        for (int64_t i = 0; i < n; ++i) rows += !op.pattern.keys(b, 0, i, n).empty() + !op.pattern.keys(b, 1, i, n).empty();
      CHECK(std::abs(total - sum - double(rows)) < 1e-9);
    }
}

TEST_CASE("literal attention: a step of a decoder equals the row of the whole pass when the residual's span is fixed") {
  LiteralAttention op{.span = 64, .key = {3}};
  op.pattern.heads[0].half_width = 4;
  op.pattern.mask.rule = Mask::Rule::causal;
  const Tensor v = noise({1, 2, 50, 8}, 1), band = noise({2, 9}, 2), residual = noise({2, 200}, 3);
  const Tensor whole = op.forward(v, band, {}, residual, nullptr);
  for (const int64_t t : {0, 3, 30, 49}) {
    LiteralAttention step = op;
    step.rows = 1, step.pattern.mask.first_row = t;
    CHECK(difference(step.forward(v.slice(2, 0, t + 1), band, {}, residual, nullptr), whole.slice(2, t, t + 1)) < 1e-14);
  }
}
