#include "apps/bench/machine.h"

#include <chrono>
#include <cstring>

#include "engine/blas/gemm.h"
#include "engine/core/parallel.h"
#include "engine/core/tensor.h"

namespace alinea {

namespace {

// The fastest of the calls that fit into 0.3 s (at least three), in seconds.
template <class F>
double fastest(Context& context, F&& f) {
  using Clock = std::chrono::steady_clock;
  double best = 1e9, total = 0;
  for (int i = 0; i < 3 || total < 0.3; ++i) {
    const auto begin = Clock::now();
    f();
    context.synchronize();
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

}  // namespace

double peak_gemm_gflops(Context& context) {
  constexpr int64_t n = 1024;
  const Tensor a = context.full({n, n}, DType::f32, 0.5), b = context.full({n, n}, DType::f32, 0.25), c = context.empty({n, n}, DType::f32);
  const Gemm g{.m = n, .n = n, .k = n, .lda = n, .ldb = n, .ldc = n};
  return 2e-9 * n * n * n / fastest(context, [&] { gemm<float>(context, g, a.data<float>(), b.data<float>(), c.data<float>()); });
}

double peak_copy_gb_per_second(Context& context) {
  constexpr int64_t bytes = 64 << 20;
  const Tensor from = context.full({bytes / 4}, DType::f32, 1), to = context.full({bytes / 4}, DType::f32, 0);
  char *target = reinterpret_cast<char*>(to.data<float>()), *source = reinterpret_cast<char*>(from.data<float>());
  const double seconds = fastest(context, [&] {
    if (context.device() != Device::cpu) return context.copy_within(target, source, bytes);
    parallel_for(bytes, 1 << 20, [&](int64_t begin, int64_t end) { std::memcpy(target + begin, source + begin, size_t(end - begin)); });
  });
  return 2e-9 * bytes / seconds;
}

}  // namespace alinea
