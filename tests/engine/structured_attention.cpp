#include "tests/engine/structured.h"

using namespace alinea;

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
