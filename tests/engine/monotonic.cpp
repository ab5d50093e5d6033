#include "engine/ops/monotonic.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "autograd/latency.h"
#include "autograd/monotonic.h"
#include "engine/core/random.h"
#include "engine/ops/monotonic_reference.h"

using namespace alinea;

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

std::vector<double> normals(int64_t n, double mean, double deviation, uint64_t stream) {
  Draw draw(RandomKey{11}.child(stream));
  std::vector<double> v(static_cast<size_t>(n));
  for (double& x : v) x = mean + deviation * draw.normal();
  return v;
}
template <class T = double>
Tensor tensor(const std::vector<double>& v, const Shape& shape) {
  const std::vector<T> converted(v.begin(), v.end());
  return Context::cpu().from(converted.data(), shape);
}
std::vector<double> of(const Tensor& t) { return t.values<double>(); }
double worst(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  double w = 0;
  for (size_t i = 0; i < a.size(); ++i) w = std::abs(a[i] - b[i]) <= w ? w : std::abs(a[i] - b[i]);
  return w;
}
double largest(const std::vector<double>& a) { return worst(a, std::vector<double>(a.size())); }
bool finite(const std::vector<double>& v) {
  for (const double x : v)
    if (!std::isfinite(x)) return false;
  return true;
}
// Largest distance of a row's mass from 1.
double lost_mass(const std::vector<double>& v, int64_t S) {
  double w = 0;
  for (size_t at = 0; at < v.size(); at += size_t(S)) {
    double mass = 0;
    for (size_t j = 0; j < size_t(S); ++j) mass += v[at + j];
    w = std::max(w, std::abs(mass - 1));
  }
  return w;
}

struct Results {
  std::vector<double> alpha, beta, dz, du;
};
// α, β and the gradients of Σ D β + Σ A α.
template <class T>
Results both(const std::vector<double>& z, const std::vector<double>& u, const std::vector<double>& D, const std::vector<double>& A, const Shape& shape,
             const std::vector<int32_t>& lengths = {}) {
  Tape tape;
  const Variable vz = tape.watch(tensor<T>(z, shape)), vu = tape.watch(tensor<T>(u, shape));
  const Variable alpha = monotonic_alpha(vz, lengths), beta = lookback_beta(alpha, vu, lengths);
  const Variable outputs[] = {alpha, beta};
  tape.backward(outputs, {tensor<T>(A, shape), tensor<T>(D, shape)});
  return {of(alpha.value()), of(beta.value()), of(tape.grad(vz)), of(tape.grad(vu))};
}

// Six policies from one noise: undecided, patient, polarised, never, at once, a hard diagonal.
std::vector<double> policy(int kind, std::vector<double> noise, int64_t rows, int64_t S) {
  const double mean[] = {0, -2.5, -3, -14, 14, -8}, deviation[] = {1, 1, 10, 1, 1, 1};
  for (double& x : noise) x = mean[kind] + deviation[kind] * x;
  if (kind == 5)
    for (int64_t i = 0; i < rows; ++i) noise[size_t(i * S + std::min(S - 1, (i + 1) * S / (rows + 1)))] = 25;
  return noise;
}

// α, β and their gradients as in both(), in plain double loops over columns one by one, with the softmax of a prefix as a running maximum and sum:
// none of the engine's vectors, segments or exponentials. One head, no padding.
Results one_by_one(const std::vector<double>& z, const std::vector<double>& u, const std::vector<double>& D, const std::vector<double>& A, int64_t rows, int64_t S) {
  const auto n = size_t(S), count = size_t(rows) * n;
  Results r{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count), std::vector<double>(count)};
  std::vector<double> p(count), w(count), C(count), start(n), value(n + 1);
  start[0] = 1;
  for (size_t i = 0; i < size_t(rows); ++i) {
    const double* above = i == 0 ? start.data() : &r.alpha[(i - 1) * n];
    double q = 0, read = 0, top = -infinity, sum = 0;
    for (size_t j = 0, at = i * n; j < n; ++j, ++at) {
      q = read * q + above[j];
      p[at] = j + 1 == n ? 1 : 1 / (1 + std::exp(-z[at]));
      read = j + 1 == n ? 0 : 1 / (1 + std::exp(z[at]));
      r.alpha[at] = p[at] * q;
      const double most = std::max(top, u[at]), e = std::exp(u[at] - most);
      sum = sum * std::exp(top - most) + e, top = most;
      w[at] = e / sum;                                      // β's share of column j in the softmax over columns ≤ j
    }
    double later = 0;
    for (size_t j = n, at = i * n + n - 1; j-- > 0; --at) {
      C[at] = later = r.alpha[at] + (j + 1 == n ? 0 : (1 - w[at + 1]) * later);
      r.beta[at] = w[at] * C[at];
    }
  }
  std::vector<double> H(n);
  for (size_t i = size_t(rows); i-- > 0;) {
    double average = 0, right = 0, s = 0;
    for (size_t j = 0, at = i * n; j < n; ++j, ++at) {
      r.du[at] = j == 0 ? 0 : w[at] * (1 - w[at]) * C[at] * (D[at] - average);
      H[j] = average += w[at] * (D[at] - average);
    }
    for (size_t j = n, at = i * n + n - 1; j-- > 0; --at) {
      const double own = r.du[at], total = A[at] + H[j] + value[j], stay = j + 1 == n ? 0 : 1 / (1 + std::exp(z[at]));
      r.du[at] = own + w[at] * s;
      s = (1 - w[at]) * s - own;
      r.dz[at] = r.alpha[at] * stay * (total - right);
      value[j] = right = p[at] * total + stay * right;
    }
  }
  return r;
}

}  // namespace

TEST_CASE("alpha equals its definition and the transition matrix") {
  for (const auto& [rows, S] : {std::pair<int64_t, int64_t>{1, 1}, {7, 11}, {5, 16}, {6, 33}, {40, 50}}) {
    const auto z = normals(rows * S, -0.5, 1.5, uint64_t(S));
    const auto alpha = of(MonotonicAlpha{}.forward(tensor(z, {1, 1, rows, S}), nullptr));
    CHECK(worst(alpha, reference::alpha_by_definition(z, rows, S)) <= 1e-15);
    CHECK(worst(alpha, reference::alpha_by_transition_matrix(z, rows, S)) <= 1e-15);
    CHECK(lost_mass(alpha, S) <= 1e-14);
    const auto single = of(MonotonicAlpha{}.forward(tensor<float>(z, {1, 1, rows, S}), nullptr));
    CHECK(worst(alpha, single) <= 3e-7);
  }
}

TEST_CASE("lookback and chunk weights equal their softmax matrices") {
  const int64_t rows = 5, S = 37;
  const auto alpha = reference::alpha_by_definition(normals(rows * S, -2, 1, 1), rows, S);
  auto ramp = normals(rows * S, 0, 1, 2);
  for (int64_t k = 0; k < rows * S; ++k) ramp[size_t(k)] += 12.0 * double(k % S);            // rises by 430: many segments
  auto peak = normals(rows * S, 0, 1, 3);
  for (int64_t i = 0; i < rows; ++i) peak[size_t(i * S + 20)] = 200;
  for (const auto& u : {normals(rows * S, 0, 1, 4), normals(rows * S, 0, 10, 5), ramp, peak}) {
    const Tensor a = tensor(alpha, {1, 1, rows, S}), e = tensor(u, {1, 1, rows, S});
    const auto beta = of(LookbackBeta{}.forward(a, e, nullptr));
    CHECK(worst(beta, reference::beta_by_gamma_matrix(alpha, u, rows, S)) <= 1e-14);
    CHECK(lost_mass(beta, S) <= 1e-13);
    CHECK(worst(beta, of(LookbackBeta{}.forward(tensor<float>(alpha, {1, 1, rows, S}), tensor<float>(u, {1, 1, rows, S}), nullptr))) <= 2e-5);
    for (const int64_t width : {1, 2, 5, 16, 36, 37, 50}) {
      CAPTURE(width);
      const auto chunk = of(ChunkBeta{.width = width}.forward(a, e, nullptr));
      CHECK(worst(chunk, reference::chunk_beta_by_definition(alpha, u, rows, S, width)) <= 1e-14);
      if (width >= S) CHECK(worst(chunk, beta) <= 1e-14);
      if (width == 1) CHECK(worst(chunk, alpha) <= 1e-15);
    }
  }
}

TEST_CASE("the value function at the start is the expected reward, and energies may be shifted") {
  // dL/dz of a row's first columns telescopes to V; with every z of column 0 at -inf except through the start, V₁₁ = ⟨A, α⟩ shows as the
  // gradient of a policy that chooses once between an immediate end (reward 0) and the process.
  const int64_t rows = 4, S = 18;
  auto z = normals((rows + 1) * (S + 1), -1, 1.5, 6), A = normals((rows + 1) * (S + 1), 0, 1, 7);
  // Row 0 writes in column 0 for certain; rows 1 … see column 0 with probability p of a write and then columns 1 … S.
  for (int64_t j = 0; j <= S; ++j) z[size_t(j)] = infinity, A[size_t(j)] = 0;
  for (int64_t i = 1; i <= rows; ++i) z[size_t(i * (S + 1))] = -infinity, A[size_t(i * (S + 1))] = 0;
  const Shape shape{1, 1, rows + 1, S + 1};
  MonotonicAlpha::Saved kept;
  const Tensor alpha = MonotonicAlpha{}.forward(tensor(z, shape), &kept);
  double reward = 0;
  const auto a = of(alpha);
  for (size_t k = 0; k < a.size(); ++k) reward += A[k] * a[k];
  // The last row of z at its only certain column: a second policy over the same rewards, one step later, has V as its gradient.
  double value = 0;
  std::vector<double> V(size_t(S + 2), 0.0);
  for (int64_t i = rows; i >= 0; --i) {
    double right = 0;
    for (int64_t j = S; j >= 0; --j) {
      const double x = z[size_t(i * (S + 1) + j)], p = j == S ? 1 : 1 / (1 + std::exp(-x));
      right = V[size_t(j)] = p * (A[size_t(i * (S + 1) + j)] + V[size_t(j)]) + (1 - p) * right;
    }
    value = right;
  }
  CHECK(std::abs(value - reward) <= 1e-14);
  // Shift invariance of the softmax: the gradients of a row's energies sum to 0.
  const auto u = normals((rows + 1) * (S + 1), 0, 3, 8), D = normals((rows + 1) * (S + 1), 0, 1, 9);
  const auto r = both<double>(z, u, D, A, shape);
  for (int64_t i = 0; i <= rows; ++i) {
    double sum = 0;
    for (int64_t j = 0; j <= S; ++j) sum += r.du[size_t(i * (S + 1) + j)];
    CHECK(std::abs(sum) <= 1e-15);
  }
}

TEST_CASE("wait-k is a policy of zeros and ones") {
  const int64_t rows = 9, S = 20, k = 3;
  std::vector<double> z(size_t(rows * S), -infinity);
  for (int64_t i = 0; i < rows; ++i) z[size_t(i * S + std::min(i + k, S) - 1)] = infinity;
  const auto u = normals(rows * S, 0, 2, 12);
  const auto r = both<float>(z, u, u, u, {1, 1, rows, S});
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t seen = std::min(i + k, S);
    double total = 0;
    for (int64_t j = 0; j < seen; ++j) total += std::exp(u[size_t(i * S + j)]);
    for (int64_t j = 0; j < S; ++j) {
      const size_t at = size_t(i * S + j);
      CHECK(r.alpha[at] == (j == seen - 1 ? 1 : 0));
      CHECK(std::abs(r.beta[at] - (j < seen ? std::exp(u[at]) / total : 0)) <= 1e-6);
      CHECK(r.dz[at] == 0);
    }
  }
}

TEST_CASE("padding changes nothing and gets no gradient") {
  const int64_t rows = 6, S = 45;
  for (const int32_t n : {1, 15, 16, 17, 31, 44}) {
    CAPTURE(n);
    auto z = normals(2 * rows * S, -1, 2, 13), u = normals(2 * rows * S, 0, 3, 14), D = normals(2 * rows * S, 0, 1, 15);
    const auto padded = both<float>(z, u, D, D, {2, 1, rows, S}, {int32_t(S), n});
    auto crop = [&](const std::vector<double>& v) {
      std::vector<double> c;
      for (int64_t i = 0; i < rows; ++i) c.insert(c.end(), v.begin() + (rows + i) * S, v.begin() + (rows + i) * S + n);
      return c;
    };
    const auto alone = both<float>(crop(z), crop(u), crop(D), crop(D), {1, 1, rows, n});
    CHECK(crop(padded.alpha) == alone.alpha);
    CHECK(crop(padded.beta) == alone.beta);
    CHECK(crop(padded.dz) == alone.dz);
    CHECK(crop(padded.du) == alone.du);
    for (const auto* v : {&padded.alpha, &padded.beta, &padded.dz, &padded.du})
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = n; j < S; ++j) REQUIRE((*v)[size_t((rows + i) * S + j)] == 0);
  }
}

TEST_CASE("policies of exactly 0 and 1 and masked energies give finite numbers") {
  const int64_t rows = 30, S = 80;
  auto z = normals(rows * S, 0, 3, 16), u = normals(rows * S, 0, 40, 17);
  const auto D = normals(rows * S, 0, 1, 18);
  Draw draw(RandomKey{19});
  for (double& x : z) x = draw.uniform() < 0.2 ? infinity : draw.uniform() < 0.4 ? -infinity : x;
  for (double& x : u) x = draw.uniform() < 0.3 ? -infinity : x;
  for (int64_t j = 0; j < S; ++j) u[size_t(3 * S + j)] = -infinity;                          // a row that may attend to nothing
  for (const bool single : {false, true}) {
    const auto r = single ? both<float>(z, u, D, D, {1, 1, rows, S}, {71}) : both<double>(z, u, D, D, {1, 1, rows, S}, {71});
    for (const auto* v : {&r.alpha, &r.beta, &r.dz, &r.du}) CHECK(finite(*v));
    CHECK(lost_mass(r.alpha, S) <= (single ? 1e-6 : 1e-14));
    CHECK(lost_mass(r.beta, S) <= (single ? 1e-6 : 1e-14));
  }
  const Tensor alpha = MonotonicAlpha{}.forward(tensor<float>(z, {1, 1, rows, S}), nullptr);
  ChunkBeta::Saved kept;
  CHECK(finite(of(ChunkBeta{.width = 7}.forward(alpha, tensor<float>(u, {1, 1, rows, S}), &kept))));
  for (const Tensor& d : ChunkBeta{.width = 7}.backward(std::move(kept), tensor<float>(D, {1, 1, rows, S}), {})) CHECK(finite(of(d)));
}

TEST_CASE("a pooled policy is the policy of the windows' ends, shared by all heads") {
  const int64_t rows = 4, S = 23, ratio = 3, C = 8, H = 2;
  const int32_t n = 19, pooled = 7;
  const auto z = normals(2 * rows * C, -1, 1, 20), u = normals(2 * H * rows * S, 0, 2, 21), D = normals(2 * H * rows * S, 0, 1, 22);
  std::vector<double> wide(size_t(2 * H * rows * S), -infinity);
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t h = 0; h < H; ++h)
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t c = 0; c < (b == 0 ? C : pooled); ++c)
          wide[size_t(((b * H + h) * rows + i) * S + std::min<int64_t>(ratio * (c + 1), b == 0 ? S : n) - 1)] = z[size_t((b * rows + i) * C + c)];
  const auto full = both<double>(wide, u, D, std::vector<double>(D.size(), 0.0), {2, H, rows, S}, {int32_t(S), n});
  Tape tape;
  const Variable vz = tape.watch(tensor(z, {2, 1, rows, C})), vu = tape.watch(tensor(u, {2, H, rows, S}));
  const Variable beta = lookback_beta(monotonic_alpha(vz, {int32_t(C), pooled}), vu, {int32_t(S), n}, ratio);
  const Variable outputs[] = {beta};
  tape.backward(outputs, {tensor(D, {2, H, rows, S})});
  CHECK(worst(of(beta.value()), full.beta) <= 1e-15);
  CHECK(worst(of(tape.grad(vu)), full.du) <= 1e-15);
  const auto dz = of(tape.grad(vz));
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t c = 0; c < (b == 0 ? C : pooled); ++c) {
        double sum = 0;                                     // the heads' gradients
        for (int64_t h = 0; h < H; ++h)
          sum += full.dz[size_t(((b * H + h) * rows + i) * S + std::min<int64_t>(ratio * (c + 1), b == 0 ? S : n) - 1)];
        CHECK(std::abs(dz[size_t((b * rows + i) * C + c)] - sum) <= 1e-15);
      }
}

TEST_CASE("long inputs in single precision: six policies of 1000 rows and 4000 columns") {
  // What a recurrence in single precision can hold over 5000 steps. Where the policy waits, the last column collects what is left, near 1, and its
  // own rounding is 6e-8; a hard diagonal multiplies 4000 rounded r in a row. Measured, in the order of the policies:
  //   α   4.7e-8, 7.2e-7, 8.6e-7, 6.5e-8, 1.4e-6, 3.7e-6 (9.3e-6 with r = 1/(1 + e), whose rounding leans to one side by 1.7e-9 a step)
  //   dz  1.2e-6, 3.4e-6, 4.4e-6, 4.2e-6, 8.3e-7, 2.0e-5 of the largest; the rest, at worst: mass 3.7e-6, β 3.6e-6, du 3.0e-6 of the largest
  const double alpha_bound[] = {2e-6, 2e-6, 2e-6, 2e-6, 2e-6, 7e-6}, gradient_bound[] = {1e-5, 1e-5, 1e-5, 1e-5, 1e-5, 4e-5};
  const int64_t rows = 1000, S = 4000;
  auto single = [](std::vector<double> v) {
    for (double& x : v) x = float(x);
    return v;
  };
  const auto noise = normals(rows * S, 0, 1, 32), u = single(normals(rows * S, 0, 5, 30)), D = single(normals(rows * S, 0, 1, 31));
  std::vector<double> A(size_t(rows * S));                  // the average lagging's gradient
  for (size_t k = 0; k < A.size(); ++k) A[k] = float(double(k % size_t(S) + 1) / double(S * rows));
  for (int kind = 0; kind < 6; ++kind) {
    CAPTURE(kind);
    const auto z = single(policy(kind, noise, rows, S));
    const Results f = both<float>(z, u, D, A, {1, 1, rows, S}), d = one_by_one(z, u, D, A, rows, S);
    for (const auto* v : {&f.alpha, &f.beta, &f.dz, &f.du}) CHECK(finite(*v));
    CHECK(worst(f.alpha, d.alpha) <= alpha_bound[kind]);
    CHECK(worst(f.beta, d.beta) <= 1e-5);
    CHECK(lost_mass(f.alpha, S) <= 1e-5);
    CHECK(lost_mass(f.beta, S) <= 1e-5);
    CHECK(worst(f.dz, d.dz) <= gradient_bound[kind] * largest(d.dz));
    CHECK(worst(f.du, d.du) <= 1e-5 * largest(d.du));
  }
}

TEST_CASE("the engine in double precision agrees with plain loops, column by column") {
  const int64_t rows = 30, S = 400;
  const auto noise = normals(rows * S, 0, 1, 33), u = normals(rows * S, 0, 5, 34), D = normals(rows * S, 0, 1, 35), A = normals(rows * S, 0, 1, 36);
  for (int kind = 0; kind < 6; ++kind) {
    CAPTURE(kind);
    const auto z = policy(kind, noise, rows, S);
    const Results e = both<double>(z, u, D, A, {1, 1, rows, S}), d = one_by_one(z, u, D, A, rows, S);
    CHECK(worst(e.alpha, d.alpha) <= 1e-13);
    CHECK(worst(e.beta, d.beta) <= 1e-13);
    CHECK(worst(e.dz, d.dz) <= 1e-12 * largest(d.dz));
    CHECK(worst(e.du, d.du) <= 1e-12 * largest(d.du));
  }
}

TEST_CASE("the clamped closed form loses alignments") {
  // c_ij = Π (1 - p) falls below the floor 1e-6 within 20 columns at p = ½ and 6 at p = 0.9. From there on the denominator is the floor while the
  // factor in front goes on falling: the probability there is multiplied by c / 1e-6, which is 0 before long, and no later row gets it back.
  const int64_t rows = 40, S = 120;
  const auto z = normals(rows * S, 0, 1, 40);
  const auto exact = of(MonotonicAlpha{}.forward(tensor(z, {1, 1, rows, S}), nullptr));
  const auto closed = reference::alpha_by_clamped_closed_form(z, rows, S, 1e-6);
  CHECK(lost_mass(closed, S) > 0.9);                        // whole rows vanish, in double precision too
  CHECK(worst(exact, closed) > 0.05);
  const std::vector<float> z32(z.begin(), z.end());
  const auto closed32 = reference::alpha_by_clamped_closed_form(z32, rows, S, 1e-6f);
  CHECK(lost_mass({closed32.begin(), closed32.end()}, S) > 0.9);
  CHECK(worst({closed32.begin(), closed32.end()}, closed) < 0.01);   // digits are not what is missing
  const std::vector<double> first_exact(exact.begin(), exact.begin() + S), first_closed(closed.begin(), closed.begin() + S);
  CHECK(worst(first_exact, first_closed) <= 1e-5);          // near the start it is right, which is why it passes small tests
  const auto tiny = reference::alpha_by_clamped_closed_form(z, rows, S, 1e-300);
  CHECK(worst(exact, tiny) <= 1e-10);                       // without a clamp double precision holds 120 columns …
  const auto longer = normals(900 * 2000, 0, 1, 41);
  CHECK(lost_mass(reference::alpha_by_clamped_closed_form(longer, 900, 2000, 1e-300), 2000) > 0.9);   // … and not 2000
}

TEST_CASE("the clamped closed form has finite and wrong gradients") {
  // Where the floor acts, α no longer depends on the policy as it should, and clipping to [0, 1] zeroes the rest: nothing in training shows it.
  const int64_t rows = 24, S = 72;
  const auto noise = normals(rows * S, 0, 1, 42), A = normals(rows * S, 0, 1, 43);
  auto gradient = [&](std::vector<double> z, double floor) {  // of Σ A α, by central differences
    auto value = [&] {
      const auto alpha = reference::alpha_by_clamped_closed_form(z, rows, S, floor);
      return std::inner_product(alpha.begin(), alpha.end(), A.begin(), 0.0);
    };
    std::vector<double> d(z.size());
    for (size_t k = 0; k < z.size(); ++k) {
      const double at = z[k], h = 1e-4;
      z[k] = at + h;
      const double above = value();
      z[k] = at - h;
      d[k] = (above - value()) / (2 * h), z[k] = at;
    }
    return d;
  };
  auto cosine = [](const std::vector<double>& a, const std::vector<double>& b) {
    auto dot = [](const std::vector<double>& x, const std::vector<double>& y) { return std::inner_product(x.begin(), x.end(), y.begin(), 0.0); };
    return dot(a, b) / std::sqrt(dot(a, a) * dot(b, b));
  };
  const std::vector<double> nothing(A.size());
  for (const auto& [kind, highest] : {std::pair{0, 0.85}, {2, 0.4}}) {   // undecided, polarised
    CAPTURE(kind);
    const auto z = policy(kind, noise, rows, S), exact = both<double>(z, nothing, nothing, A, {1, 1, rows, S}).dz, clamped = gradient(z, 1e-6);
    CHECK(finite(clamped));
    CHECK(cosine(exact, clamped) < highest);
    CHECK(cosine(exact, gradient(z, 1e-300)) > 0.999);      // the floor is to blame, not the form
  }
  const auto patient = policy(1, noise, rows, S);           // p near 0.1: 72 columns do not reach the floor
  CHECK(cosine(both<double>(patient, nothing, nothing, A, {1, 1, rows, S}).dz, gradient(patient, 1e-6)) > 0.999);
}

TEST_CASE("what does not fit is refused by name") {
  const Tensor z = Context::cpu().zeros({2, 1, 3, 5}, DType::f32);
  CHECK_THROWS_WITH_AS((MonotonicAlpha{{3, 6}}.forward(z, nullptr)), doctest::Contains("a source length is 6; it must be 1 … 5"), Error);
  CHECK_THROWS_WITH_AS((MonotonicAlpha{{3, 0}}.forward(z, nullptr)), doctest::Contains("a source length is 0"), Error);
  CHECK_THROWS_WITH_AS((LookbackBeta{{}, 2}.forward(z, z, nullptr)), doctest::Contains("alpha must be [2, 1 or 1, 3, 3]"), Error);
  CHECK_THROWS_WITH_AS((ChunkBeta{.width = 0}.forward(z, z, nullptr)), doctest::Contains("the width is 0"), Error);
}
