// What the tests of structured and literal attention share: random problems, and the dense form that is the definition.
#pragma once
#include <doctest/doctest.h>

#include <cmath>

#include "engine/ops/literal_attention.h"
#include "engine/ops/softmax_attention.h"
#include "engine/ops/structured_attention.h"

namespace alinea {

inline Tensor noise(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  Draw draw(RandomKey{seed});
  std::vector<double> v(size_t(shape.count()));
  for (double& x : v) x = draw.normal();
  return Context::cpu().from(v.data(), shape).to(dtype);
}

inline double difference(const Tensor& a, const Tensor& b) {
  const auto x = a.values<double>(), y = b.values<double>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::isfinite(x[i]) ? std::abs(x[i] - y[i]) : 1e30);
  return worst;
}

// a b per head: a [B, H, T, S], b [B, H, S, D].
inline Tensor matmul(const Tensor& a, const Tensor& b) {
  const int64_t T = a.size(2), S = a.size(3), D = b.size(3);
  const Tensor c = Context::cpu().zeros({a.size(0), a.size(1), T, D}, DType::f64);
  for (int64_t r = 0; r < a.size(0) * a.size(1) * T; ++r)
    for (int64_t j = 0; j < S; ++j)
      for (int64_t d = 0; d < D; ++d) c.data<double>()[r * D + d] += a.data<double>()[r * S + j] * b.data<double>()[(r / T * S + j) * D + d];
  return c;
}

// The definition, pair by pair.
enum class Reads { no, plainly, as_column };
inline Reads reads(const StructuredPattern& p, int64_t item, int64_t h, int64_t row, int64_t j, int64_t S) {
  const HeadPattern& head = p.head(h);
  const int64_t i = p.mask.first_row + row;
  if (j >= p.mask.visible(item, row, S)) return Reads::no;
  for (const int64_t g : head.global_rows)
    if (g == i) return Reads::plainly;
  if (std::abs(i - j) <= head.half_width) return Reads::plainly;
  int64_t begin = 0;
  for (const int64_t end : head.block_ends) {
    if (i >= begin && i < end && j >= begin && j < end) return Reads::plainly;
    begin = end;
  }
  std::vector<int32_t> columns;
  if (!p.columns.empty() && head.columns)
    for (const ColumnRun& run : p.columns[size_t(item)])
      if (run.first_row <= i) columns = run.columns;
  for (const int32_t c : columns)
    if (c == j && (head.column_extent < 0 || std::abs(i - j) <= head.column_extent)) return Reads::as_column;
  std::vector<int32_t> random;
  p.random_keys(item, h, row, p.near(item, h, row, S), S, random);
  return std::find(random.begin(), random.end(), j) != random.end() ? Reads::plainly : Reads::no;
}

struct Problem {
  Tensor q, k, v, band, column, g;
};
inline Problem problem(int64_t B, int64_t H, int64_t T, int64_t S, int64_t D, const StructuredPattern& p, uint64_t seed, bool biased = true) {
  const Shape rows{B, H, T, D}, keys{B, H, S, D};
  return {noise(rows, seed),          noise(keys, seed + 1), noise(keys, seed + 2), biased ? noise({H, 2 * p.widest() + 1}, seed + 3) : Tensor(),
          biased ? noise({H}, seed + 4) : Tensor(), noise(rows, seed + 5)};
}

// Dense softmax with −∞ where the pattern does not read; y, dq, dk, dv, dband, dcolumn. residual [B, H, T, S] is added to P.
inline std::vector<Tensor> dense(const Problem& x, const StructuredPattern& p, int64_t H, int64_t T, double scale, const Tensor& residual = {}) {
  const int64_t B = x.v.size(0), S = x.v.size(2), D = x.v.size(3), w = p.widest();
  Context& cpu = Context::cpu();
  const Tensor y = cpu.zeros({B, H, T, D}, DType::f64), dq = cpu.zeros({B, H, T, D}, DType::f64), dk = cpu.zeros(x.v.shape(), DType::f64),
               dv = cpu.zeros(x.v.shape(), DType::f64), db = cpu.zeros({H, 2 * w + 1}, DType::f64), dc = cpu.zeros({H}, DType::f64);
  auto at = [](const Tensor& t, int64_t row) { return t.data<double>() + row * t.size(3); };
  for (int64_t u = 0; u < B * H; ++u)
    for (int64_t row = 0; row < T; ++row) {
      const int64_t h = u % H, i = p.mask.first_row + row;
      std::vector<double> s(size_t(S), -INFINITY), dp(size_t(S), 0.0);
      std::vector<Reads> kind(static_cast<size_t>(S));
      double most = -INFINITY, total = 0, delta = 0;
      for (int64_t j = 0; j < S; ++j) {
        kind[size_t(j)] = reads(p, u / H, h, row, j, S);
        if (kind[size_t(j)] == Reads::no) continue;
        double dot = 0;
        if (x.q)
          for (int64_t d = 0; d < D; ++d) dot += at(x.q, u * T + row)[d] * at(x.k, u * S + j)[d];
        if (x.band && std::abs(i - j) <= p.head(h).half_width) dot += x.band.data<double>()[h * (2 * w + 1) + w + j - i] / scale;
        if (x.column && kind[size_t(j)] == Reads::as_column) dot += x.column.data<double>()[h] / scale;
        most = std::max(most, s[size_t(j)] = dot * scale);
      }
      for (double& e : s) total += e = e == -INFINITY ? 0 : std::exp(e - most);
      for (int64_t j = 0; j < S; ++j) {
        if (total > 0) s[size_t(j)] /= total;
        const double e = residual ? residual.data<double>()[(u * T + row) * S + j] : 0;
        for (int64_t d = 0; d < D; ++d) {
          at(y, u * T + row)[d] += (s[size_t(j)] + e) * at(x.v, u * S + j)[d];
          at(dv, u * S + j)[d] += (s[size_t(j)] + e) * at(x.g, u * T + row)[d];
          dp[size_t(j)] += at(x.g, u * T + row)[d] * at(x.v, u * S + j)[d];
        }
        delta += s[size_t(j)] * dp[size_t(j)];
      }
      for (int64_t j = 0; j < S; ++j) {
        const double ds = s[size_t(j)] * (dp[size_t(j)] - delta);
        if (x.q)
          for (int64_t d = 0; d < D; ++d) {
            at(dq, u * T + row)[d] += scale * ds * at(x.k, u * S + j)[d];
            at(dk, u * S + j)[d] += scale * ds * at(x.q, u * T + row)[d];
          }
        if (kind[size_t(j)] != Reads::no && std::abs(i - j) <= p.head(h).half_width) db.data<double>()[h * (2 * w + 1) + w + j - i] += ds;
        if (kind[size_t(j)] == Reads::as_column) dc.data<double>()[h] += ds;
      }
    }
  return {y, dq, dk, dv, db, dc};
}

inline std::vector<Tensor> structured(const Problem& x, const StructuredAttention& op) {
  StructuredAttention::Saved kept;
  std::vector<Tensor> all{op.forward(x.q, x.k, x.v, x.band, x.column, &kept)};
  Tensor g = x.g;
  for (const Tensor& d : op.backward(std::move(kept), std::move(g), {})) all.push_back(d);
  return all;
}

// A pattern of everything, drawn at random; columns may repeat, lie inside the band, or be as many as there are keys.
inline StructuredPattern random_pattern(Draw& draw, int64_t B, int64_t H, int64_t S) {
  StructuredPattern p;
  p.key = {uint64_t(draw.integer(0, 1000))};
  p.heads.assign(size_t(draw.integer(0, 1) ? H : 1), {});
  for (HeadPattern& h : p.heads) {
    h.half_width = draw.integer(0, 3) == 0 ? S + 2 : draw.integer(0, 5);
    h.columns = draw.integer(0, 4) > 0;
    h.column_extent = draw.integer(0, 1) ? -1 : draw.integer(0, S);
    if (draw.integer(0, 2) == 0) h.global_rows = {draw.integer(0, S - 1), S};
    for (int64_t end = 0; draw.integer(0, 3) && end < S && draw.integer(0, 1);) h.block_ends.push_back(end += draw.integer(1, 9));
    h.random_keys = draw.integer(0, 2) ? 0 : draw.integer(1, 4);
  }
  if (draw.integer(0, 1)) p.mask.rule = Mask::Rule::causal;
  if (draw.integer(0, 1))
    for (int64_t b = 0; b < B; ++b) p.mask.source_lengths.push_back(int32_t(draw.integer(0, S)));
  std::vector<double> rarity;
  for (int64_t i = 0; i < B * S; ++i) rarity.push_back(double(draw.integer(0, 20)));
  const int64_t r = draw.integer(0, 3) == 0 ? S + 3 : draw.integer(0, 4);
  p.columns = rare_columns(rarity, B, p.mask.source_lengths, r, p.mask.rule == Mask::Rule::causal && draw.integer(0, 2) > 0);
  return p;
}

}  // namespace alinea
