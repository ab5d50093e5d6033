// EMMA's alignment: alpha, beta (infinite lookback) and the delay loss. Forms: `recurrence`, the engine's; `matrix`, as the paper writes
// it; `closed`, the clamped division of older implementations, which is inexact: its alignments die on long inputs.
#include <fmt/core.h>

#include <memory>

#include "apps/bench/work.h"
#include "autograd/elementwise.h"
#include "autograd/latency.h"
#include "autograd/monotonic.h"
#include "autograd/reduce.h"
#include "autograd/softmax.h"
#include "engine/core/parallel.h"
#include "engine/ops/monotonic_reference.h"

namespace alinea {

namespace {

using Inputs = std::span<const Variable>;
constexpr int64_t heads = 8;
constexpr std::pair<int64_t, int64_t> sizes[] = {{16, 128}, {64, 512}, {128, 1024}};

/// Write probabilities about T/S: the reader is done with the source when the target ends.
Tensor logits(Context& c, int64_t T, int64_t S) { return add_scalar(normals(c, {1, heads, T, S}, 0), -2).value(); }
Tensor energies(Context& c, int64_t T, int64_t S) { return normals(c, {1, heads, T, S}, 1); }

WorkCost passes(int64_t T, int64_t S, int n) { return {.bytes = 4.0 * double(heads * T * S) * n}; }
std::string size_of(int64_t T, int64_t S) { return fmt::format("{}x{}", T, S); }
std::string shape_of(int64_t T, int64_t S) { return fmt::format("BH 8, T {}, S {}, fp32", T, S); }

void recurrences(std::vector<Work>& works, int64_t T, int64_t S) {
  add(works, {.what = "emma/alpha",
              .size = size_of(T, S),
              .shape = shape_of(T, S),
              .form = "recurrence",
              .forward = passes(T, S, 2),
              .both = passes(T, S, 6),
              .inputs = [=](Context& c) { return std::vector{logits(c, T, S)}; },
              .function = always([](Inputs x) { return monotonic_alpha(x[0]); })});
  add(works, {.what = "emma/alpha-beta",
              .size = size_of(T, S),
              .shape = shape_of(T, S),
              .form = "recurrence",
              .forward = passes(T, S, 5),
              .both = passes(T, S, 14),
              .inputs =
                  [=](Context& c) {
                    return std::vector{logits(c, T, S), energies(c, T, S)};
                  },
              .function = always([](Inputs x) { return lookback_beta(monotonic_alpha(x[0]), x[1]); })});
}

using Rows = std::vector<float>;
using AlphaForm = Rows (*)(const Rows& z, int64_t T, int64_t S);
Rows matrix_form(const Rows& z, int64_t T, int64_t S) { return reference::alpha_by_transition_matrix(z, T, S); }
Rows closed_form(const Rows& z, int64_t T, int64_t S) { return reference::alpha_by_clamped_closed_form(z, T, S, 1e-6f); }

// One of the papers' forms for every head, heads in parallel, forward only.
void references(std::vector<Work>& works, int64_t T, int64_t S, const std::string& form, bool exact, AlphaForm alpha) {
  const auto make = [=](bool with_beta) {
    return [=](Context& c) -> Step {
      const auto z = logits(c, T, S).values<float>(), u = energies(c, T, S).values<float>();
      return [=] {
        parallel_for(heads, 1, [&](int64_t begin, int64_t end) {
          for (int64_t h = begin; h < end; ++h) {
            const auto head = [&](const Rows& x) { return Rows(x.begin() + h * T * S, x.begin() + (h + 1) * T * S); };
            const Rows a = alpha(head(z), T, S);
            if (with_beta) reference::beta_by_gamma_matrix(a, head(u), T, S);
          }
        });
      };
    };
  };
  works.push_back({.name = "emma/alpha/fwd/" + size_of(T, S), .shape = shape_of(T, S), .form = form, .exact = exact, .make = make(false)});
  if (exact) works.push_back({.name = "emma/alpha-beta/fwd/" + size_of(T, S), .shape = shape_of(T, S), .form = form, .make = make(true)});
}

// mean(d_i - (i-1)/T) + 0.1 · mean Σ_j (j/S - d_i)² α_ij, d_i = Σ_j j/S α_ij
Variable delay_loss(const Variable& alpha) {
  const int64_t S = alpha.size(3);
  const std::vector<int32_t> columns(static_cast<size_t>(alpha.size(0)), int32_t(S));
  const Variable lag = mean(average_lagging(expected_delay(alpha), columns)), variance = mean(alignment_variance(alpha));
  return add(scale(lag, 1.0 / double(S)), scale(variance, 0.1 / double(S * S)));
}

}  // namespace

std::vector<Work> emma_works() {
  std::vector<Work> works;
  for (const auto& [T, S] : sizes)
    add(works, {.what = "emma/delay-loss",
                .size = size_of(T, S),
                .shape = fmt::format("alpha [8,{},{}]: average lagging + 0.1 variance", T, S),
                .forward = passes(T, S, 1),
                .both = passes(T, S, 3),
                .inputs =
                    [T = T, S = S](Context& c) {
                      return std::vector{softmax(normals(c, {heads, 1, T, S}, 0)).value()};
                    },
                .function = always([](Inputs x) { return delay_loss(x[0]); })});
  for (const auto& [T, S] : sizes) recurrences(works, T, S);
  for (const auto& [T, S] : sizes) references(works, T, S, "closed", false, closed_form);
  for (const auto& [T, S] : std::span(sizes).first(2)) references(works, T, S, "matrix", true, matrix_form);
  return works;
}

}  // namespace alinea
