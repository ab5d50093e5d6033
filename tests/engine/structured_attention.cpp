#include "engine/ops/structured_attention.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/ops/literal_attention.h"
#include "engine/ops/softmax_attention.h"

using namespace alinea;

namespace {

Tensor noise(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  Draw draw(RandomKey{seed});
  std::vector<double> v(size_t(shape.count()));
  for (double& x : v) x = draw.normal();
  return Context::cpu().from(v.data(), shape).to(dtype);
}

double difference(const Tensor& a, const Tensor& b) {
  const auto x = a.values<double>(), y = b.values<double>();
  REQUIRE(x.size() == y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::isfinite(x[i]) ? std::abs(x[i] - y[i]) : 1e30);
  return worst;
}

// a b per head: a [B, H, T, S], b [B, H, S, D].
Tensor matmul(const Tensor& a, const Tensor& b) {
  const int64_t T = a.size(2), S = a.size(3), D = b.size(3);
  const Tensor c = Context::cpu().zeros({a.size(0), a.size(1), T, D}, DType::f64);
  for (int64_t r = 0; r < a.size(0) * a.size(1) * T; ++r)
    for (int64_t j = 0; j < S; ++j)
      for (int64_t d = 0; d < D; ++d) c.data<double>()[r * D + d] += a.data<double>()[r * S + j] * b.data<double>()[(r / T * S + j) * D + d];
  return c;
}

// The definition, pair by pair.
enum class Reads { no, plainly, as_column };
Reads reads(const StructuredPattern& p, int64_t item, int64_t h, int64_t row, int64_t j, int64_t S) {
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
Problem problem(int64_t B, int64_t H, int64_t T, int64_t S, int64_t D, const StructuredPattern& p, uint64_t seed, bool biased = true) {
  const Shape rows{B, H, T, D}, keys{B, H, S, D};
  return {noise(rows, seed),          noise(keys, seed + 1), noise(keys, seed + 2), biased ? noise({H, 2 * p.widest() + 1}, seed + 3) : Tensor(),
          biased ? noise({H}, seed + 4) : Tensor(), noise(rows, seed + 5)};
}

// Dense softmax with −∞ where the pattern does not read; y, dq, dk, dv, dband, dcolumn. residual [B, H, T, S] is added to P.
std::vector<Tensor> dense(const Problem& x, const StructuredPattern& p, int64_t H, int64_t T, double scale, const Tensor& residual = {}) {
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

std::vector<Tensor> structured(const Problem& x, const StructuredAttention& op) {
  StructuredAttention::Saved kept;
  std::vector<Tensor> all{op.forward(x.q, x.k, x.v, x.band, x.column, &kept)};
  Tensor g = x.g;
  for (const Tensor& d : op.backward(std::move(kept), std::move(g), {})) all.push_back(d);
  return all;
}

// A pattern of everything, drawn at random; columns may repeat, lie inside the band, or be as many as there are keys.
StructuredPattern random_pattern(Draw& draw, int64_t B, int64_t H, int64_t S) {
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

}  // namespace

TEST_CASE("structured attention equals dense softmax with -inf outside a random pattern, and so do all gradients") {
  Draw draw(RandomKey{31});
  for (int64_t n = 1; n <= 70; ++n) {
    const int64_t B = draw.integer(1, 2), H = draw.integer(1, 3), D = draw.integer(1, 9);
    const StructuredPattern p = random_pattern(draw, B, H, n);
    CAPTURE(n);
    CAPTURE(p.mask.describe());
    const Problem x = problem(B, H, n, n, D, p, uint64_t(n));
    const auto expected = dense(x, p, H, n, 0.6), found = structured(x, {.pattern = p, .scale = 0.6});
    for (size_t i = 0; i < found.size(); ++i) {
      CAPTURE(i);
      CHECK(difference(found[i], expected[i]) < 1e-12);
    }
    const Tensor weights = structured_weights({.pattern = p, .scale = 0.6}, x.q, x.k, x.band, x.column);
    CHECK(difference(matmul(weights, x.v), expected[0]) < 1e-12);
  }
}

TEST_CASE("structured attention: several parts, slabs in pieces and long windows equal the dense form") {
  for (const auto& [n, w, causal] : {std::tuple{530, 3, true}, {530, 300, false}, {700, 32, false}, {520, 600, true}}) {
    StructuredPattern p;
    p.heads[0].half_width = w;
    p.heads[0].random_keys = n == 700 ? 2 : 0;
    if (n == 700) p.heads[0].global_rows = {1, 690};
    if (causal) p.mask.rule = Mask::Rule::causal;
    std::vector<double> rarity;
    for (int64_t i = 0; i < n; ++i) rarity.push_back(double(i * 7919 % 101));
    p.columns = rare_columns(rarity, 1, {}, 9, causal);
    CAPTURE(n);
    CAPTURE(w);
    const Problem x = problem(1, 1, n, n, 20, p, 3);
    const auto expected = dense(x, p, 1, n, 0.3), found = structured(x, {.pattern = p, .scale = 0.3});
    for (size_t i = 0; i < found.size(); ++i) CHECK(difference(found[i], expected[i]) < 1e-12);
    Problem single = x;
    for (Tensor* t : {&single.q, &single.k, &single.v, &single.band, &single.column, &single.g}) *t = t->to(DType::f32);
    const auto rounded = structured(single, {.pattern = p, .scale = 0.3});
    for (size_t i = 0; i < found.size(); ++i) CHECK(difference(rounded[i], expected[i]) < (i < 4 ? 1e-4 : 1e-3));
  }
}

TEST_CASE("a window over everything is softmax attention, with the same dropout") {
  for (const bool causal : {false, true})
    for (const double dropout : {0.0, 0.4}) {
      StructuredPattern p;
      p.heads[0].half_width = 77;
      if (causal) p.mask.rule = Mask::Rule::causal;
      p.columns = {{{0, {1, 70}}}, {{0, {3}}}};
      p.mask.source_lengths = {77, 40};
      const Problem x = problem(2, 3, 77, 77, 8, p, 5, false);
      SoftmaxAttention::Saved kept;
      const SoftmaxAttention softmax{.mask = p.mask, .dropout = dropout, .key = {8, 9}};
      const Tensor y = softmax.forward(x.q, x.k, x.v, &kept);
      const auto d = softmax.backward(std::move(kept), Tensor(x.g), {});
      const auto found = structured(x, {.pattern = p, .dropout = dropout, .key = {8, 9}});
      CHECK(difference(found[0], y) < 1e-12);
      for (size_t i = 0; i < 3; ++i) CHECK(difference(found[i + 1], d[i]) < 1e-12);
    }
}

TEST_CASE("a window of 0 without columns returns v") {
  const Problem x = problem(2, 2, 50, 50, 16, {}, 6, false);
  CHECK(difference(StructuredAttention{}.forward(x.q, x.k, x.v, {}, {}, nullptr), x.v) == 0);
}

TEST_CASE("structured attention: far columns drop the same weights as a wide window does") {
  StructuredPattern wide, narrow;
  wide.heads[0].half_width = 40, narrow.heads[0].half_width = 2;
  narrow.columns = {{{0, {}}}};
  for (int32_t j = 0; j < 40; ++j) narrow.columns[0][0].columns.push_back(j);
  const Problem x = problem(1, 2, 40, 40, 8, {}, 7, false);
  const auto a = structured(x, {.pattern = wide, .dropout = 0.5, .key = {1, 2}}), b = structured(x, {.pattern = narrow, .dropout = 0.5, .key = {1, 2}});
  for (size_t i = 0; i < 4; ++i) CHECK(difference(a[i], b[i]) < 1e-12);
}

TEST_CASE("structured attention reads strided views and returns heads that merge for free") {
  StructuredPattern p;
  p.heads[0].half_width = 3;
  const Tensor x = noise({2, 23, 3, 3, 8}, 8);                                    // [B, T, (q k v), H, D]
  auto heads = [&](int64_t i) { return x.slice(2, i, i + 1).permute({0, 3, 1, 4, 2}).compact().reshape({2, 3, 23, 8}); };
  const StructuredAttention op{.pattern = p};
  const Tensor plain = op.forward(heads(0), heads(1), heads(2), {}, {}, nullptr);
  CHECK(plain.permute({0, 2, 1, 3}).contiguous());
  auto strided = [&](int64_t i) { return heads(i).permute({0, 2, 1, 3}).compact().permute({0, 2, 1, 3}); };
  CHECK(difference(op.forward(strided(0), strided(1), strided(2), {}, {}, nullptr), plain) == 0);
}

TEST_CASE("structured attention: rows that see nothing are zeros and have no gradient") {
  StructuredPattern p;
  p.heads[0] = {.half_width = 2, .global_rows = {0}, .random_keys = 1};
  p.columns = {{{0, {0}}}, {{0, {1}}}};
  p.mask.source_lengths = {0, 3};
  p.mask.target_lengths = {4, 2};
  const Problem x = problem(2, 1, 6, 6, 4, p, 9);
  const auto found = structured(x, {.pattern = p});
  for (int64_t i = 0; i < 48; ++i) {
    const bool empty = i / 24 == 0 || i % 24 >= 8;
    CHECK((found[0].values<double>()[size_t(i)] == 0) == empty);
    CHECK((found[1].values<double>()[size_t(i)] == 0) == empty);
  }
  for (int i = 0; i < 24; ++i) CHECK(found[3].values<double>()[size_t(i)] == 0);
}

TEST_CASE("structured attention is causal to the bit, the choice of columns included") {
  constexpr int64_t n = 200, seen = 117;
  std::vector<double> rarity;
  for (int64_t i = 0; i < n; ++i) rarity.push_back(double(i * 7919 % 211));
  const Problem x = problem(1, 2, n, n, 8, {}, 10, false);
  auto forward = [&](const Problem& in, const std::vector<double>& rarity) {
    StructuredPattern p;
    p.heads = {{.half_width = 3, .random_keys = 2}, {.half_width = 0, .global_rows = {100}, .block_ends = {50, 130}}};
    p.mask.rule = Mask::Rule::causal;
    p.columns = rare_columns(rarity, 1, {}, 5, true);
    return StructuredAttention{.pattern = p}.forward(in.q, in.k, in.v, {}, {}, nullptr).slice(2, 0, seen + 1).values<double>();
  };
  const auto before = forward(x, rarity);
  Problem changed = x;
  changed.q = x.q.clone(), changed.k = x.k.clone(), changed.v = x.v.clone();
  for (int64_t i = seen + 1; i < n; ++i) {
    rarity[size_t(i)] = 1000 + double(i * 31 % 17);                               // later tokens become the rarest of all
    for (const Tensor* t : {&changed.q, &changed.k, &changed.v})
      for (int64_t h = 0; h < 2; ++h)
        for (int64_t d = 0; d < 8; ++d) t->data<double>()[(h * n + i) * 8 + d] += 3;
  }
  CHECK(forward(changed, rarity) == before);
}

TEST_CASE("a decoding step equals the row of the whole pass") {
  constexpr int64_t n = 90;
  std::vector<double> rarity;
  for (int64_t i = 0; i < n; ++i) rarity.push_back(double(i * 7919 % 211));
  StructuredPattern p;
  p.heads = {{.half_width = 5, .random_keys = 2}, {.half_width = 9}};
  p.mask.rule = Mask::Rule::causal;
  p.columns = rare_columns(rarity, 1, {}, 4, true);
  const Problem x = problem(1, 2, n, n, 8, p, 12);
  const StructuredAttention op{.pattern = p};
  const Tensor whole = op.forward(x.q, x.k, x.v, x.band, x.column, nullptr);
  for (const int64_t t : {0, 4, 5, 40, 89}) {
    StructuredAttention step = op;
    step.pattern.mask.first_row = t;
    step.pattern.columns[0] = prefix_columns(std::span(rarity).first(size_t(t + 1)), 4);
    const Tensor y = step.forward(x.q.slice(2, t, t + 1), x.k.slice(2, 0, t + 1), x.v.slice(2, 0, t + 1), x.band, x.column, nullptr);
    CHECK(difference(y, whole.slice(2, t, t + 1)) < 1e-14);
  }
}

TEST_CASE("structured attention gives the same bytes for any number of threads") {
  const int before = threads();
  StructuredPattern p;
  p.heads = {{.half_width = 7, .random_keys = 1}, {.half_width = 40, .global_rows = {600}}};
  p.columns = {{{0, {5, 300, 900}}}};
  const Problem x = problem(1, 2, 1000, 1000, 8, p, 13);
  std::vector<std::vector<double>> results[2];
  for (const int n : {1, 2}) {
    set_threads(n);
    for (const Tensor& t : structured(x, {.pattern = p, .dropout = 0.1, .key = {4, 4}})) results[n - 1].push_back(t.values<double>());
  }
  set_threads(before);
  CHECK(results[0] == results[1]);
}

TEST_CASE("the memory of structured attention is linear in the length") {
  auto peak = [](int64_t n) {
    StructuredPattern p;
    p.heads[0].half_width = 8;
    p.columns = {{{0, {1, 2, 3}}}};
    const Problem x = problem(1, 2, n, n, 8, p, 14);
    Context::cpu().reset_peak();
    const int64_t live = Context::cpu().memory().live;
    structured(x, {.pattern = p});
    return double(Context::cpu().memory().peak - live);
  };
  const double small = peak(2048), large = peak(8192);
  CHECK(large < 4.4 * small);
  CHECK(large < 8192.0 * 8192 * 8 / 8);                                           // an eighth of one map of doubles
}

TEST_CASE("pairs of a pattern are counted, not walked over the map") {
  for (const auto& [n, w] : {std::pair{1, 0}, {7, 0}, {7, 2}, {7, 6}, {7, 20}, {64, 5}})
    for (const bool causal : {false, true}) {
      StructuredPattern p;
      p.heads[0].half_width = w;
      if (causal) p.mask.rule = Mask::Rule::causal;
      CHECK(p.pairs(0, 0, n, n) == StructuredPattern::band_pairs(n, w, causal));
    }
  Draw draw(RandomKey{77});
  for (int64_t n = 1; n < 40; ++n) {
    const StructuredPattern p = random_pattern(draw, 1, 2, n);
    int64_t expected = 0;
    for (int64_t i = 0; i < n; ++i) {
      std::vector<int32_t> row;
      for (int64_t j = 0; j < n; ++j)
        if (reads(p, 0, 1, i, j, n) != Reads::no) row.push_back(int32_t(j));
      CHECK(p.keys(0, 1, i, n) == row);
      expected += int64_t(row.size());
    }
    CHECK(p.pairs(0, 1, n, n) == expected);
  }
  StructuredPattern columns;                                                      // n (2w + 1) − w (w + 1) + Σ_c (n − rows whose band holds c)
  columns.heads[0].half_width = 3;
  columns.columns = {{{0, {0, 10, 11}}}};
  CHECK(columns.pairs(0, 0, 50, 50) == StructuredPattern::band_pairs(50, 3) + (50 - 4) + 2 * (50 - 7));
}

TEST_CASE("columns by rarity: the rarest, ties to the lower position, one per token when asked, prefixes alone for causal rows") {
  const std::vector<double> rarity{1, 5, 3, 5, -INFINITY, 2, 7, 5};
  CHECK(top_columns(rarity, 2) == ColumnRuns{{0, {1, 6}}});
  CHECK(top_columns(rarity, 3) == ColumnRuns{{0, {1, 3, 6}}});
  CHECK(top_columns(rarity, 20) == ColumnRuns{{0, {0, 1, 2, 3, 5, 6, 7}}});
  CHECK(top_columns(rarity, 0).empty());
  const std::vector<int64_t> tokens{1, 9, 2, 9, 0, 3, 4, 9};
  CHECK(top_columns(rarity, 3, tokens) == ColumnRuns{{0, {1, 2, 6}}});
  CHECK(prefix_columns(rarity, 2) == ColumnRuns{{0, {0}}, {1, {0, 1}}, {2, {1, 2}}, {3, {1, 3}}, {6, {1, 6}}});
  CHECK(prefix_columns(rarity, 2, tokens) == ColumnRuns{{0, {0}}, {1, {0, 1}}, {2, {1, 2}}, {6, {1, 6}}});
  Draw draw(RandomKey{5});
  for (int64_t n = 1; n < 60; ++n) {
    std::vector<double> x;
    for (int64_t i = 0; i < n; ++i) x.push_back(double(draw.integer(0, 30)));
    const int64_t r = draw.integer(1, 8);
    StructuredPattern p;
    p.columns = {prefix_columns(x, r)};
    for (int64_t i = 0; i < n; ++i) {
      const auto run = p.run(0, 0, i);
      CHECK(std::vector<int32_t>(run.begin(), run.end()) == top_columns(std::span(x).first(size_t(i + 1)), r)[0].columns);
    }
  }
  CHECK(fixed_columns(std::vector<int64_t>{4, -1, 2, 2, 2, 7}, 2) == std::vector<ColumnRuns>{{{0, {2, 4}}}, {{0, {2, 7}}}});
}

TEST_CASE("keeping a part of softmax: rows sum to 1 and the output moves by what was left out") {
  constexpr int64_t n = 30, D = 4;
  StructuredPattern p, all;
  p.heads[0].half_width = 3, all.heads[0].half_width = n;
  const Problem x = problem(1, 1, n, n, D, p, 15, false);
  const auto kept = structured_weights({.pattern = p}, x.q, x.k, {}, {}).values<double>(), full = attention_weights(x.q, x.k, {}).values<double>();
  const auto y = StructuredAttention{.pattern = p}.forward(x.q, x.k, x.v, {}, {}, nullptr).values<double>();
  const auto whole = SoftmaxAttention{}.forward(x.q, x.k, x.v, nullptr).values<double>(), v = x.v.values<double>();
  double distance = 0, lost = 0;
  for (size_t i = 0; i < n; ++i) {
    double sum = 0, mass = 0;
    std::vector<double> inside(D, 0), outside(D, 0);
    for (size_t j = 0; j < n; ++j) {
      sum += kept[i * n + j], distance += std::abs(kept[i * n + j] - full[i * n + j]);
      const bool in = kept[i * n + j] > 0;
      if (in) mass += full[i * n + j];
      for (size_t d = 0; d < D; ++d) (in ? inside : outside)[d] += full[i * n + j] * v[j * D + d];
    }
    CHECK(std::abs(sum - 1) < 1e-12);
    lost += 2 * (1 - mass);
    for (size_t d = 0; d < D; ++d) CHECK(std::abs(whole[i * D + d] - y[i * D + d] - (1 - mass) * (outside[d] / (1 - mass) - inside[d] / mass)) < 1e-12);
  }
  CHECK(std::abs(distance - lost) < 1e-12);
}

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

TEST_CASE("structured attention refuses what it cannot honour, by name") {
  const Problem x = problem(1, 2, 6, 6, 4, {}, 1, false);
  auto forward = [&](const StructuredPattern& p, const Tensor& band = {}) { StructuredAttention{.pattern = p}.forward(x.q, x.k, x.v, band, {}, nullptr); };
  StructuredPattern p;
  p.mask.rule = Mask::Rule::staircase;
  CHECK_THROWS_WITH_AS(forward(p),
                       "structured_attention: the mask is 'staircase (k 1, ratio 1)'; a band around the diagonal knows 'all' and 'causal', choose another attention "
                       "family for this mask",
                       Error);
  p = {};
  p.heads.assign(3, {});
  CHECK_THROWS_AS(forward(p), Error);
  p = {};
  p.columns = {{{0, {3, 2}}}};
  CHECK_THROWS_AS(forward(p), Error);
  p.columns = {{{0, {6}}}};
  CHECK_THROWS_AS(forward(p), Error);
  p = {};
  CHECK_THROWS_AS(forward(p, noise({2, 3}, 1)), Error);
  p.heads[0].block_ends = {2, 2};
  CHECK_THROWS_AS(forward(p), Error);
  CHECK_THROWS_AS(residual_positions({1}, 0, 5, 2, false), Error);
}
