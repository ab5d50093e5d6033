#include "apps/bench/machine.h"

#include <chrono>
#include <cstring>

#include "engine/blas/gemm.h"
#include "engine/core/parallel.h"
#include "engine/core/tensor.h"
#include "engine/core/vec.h"

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

// Eight pages side by side, which the processor's own prefetching follows: the most that memory gives.
ALINEA_KERNEL float read_all(const float* p, int64_t n) {
  constexpr int64_t page = 1024, streams = 8;
  Vec<float> s[streams] = {};
  for (int64_t begin = 0; begin + streams * page <= n; begin += streams * page)
    for (int64_t i = begin; i < begin + page; i += lanes<float>)
      for (int64_t k = 0; k < streams; ++k) s[k] += load(p + k * page + i);
  return sum((s[0] + s[1]) + (s[2] + s[3]) + (s[4] + s[5]) + (s[6] + s[7]));
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

double peak_read_gb_per_second(Context& context) {
  if (context.device() != Device::cpu) return 0;
  constexpr int64_t count = 128 << 20;
  const Tensor from = context.full({count}, DType::f32, 1);
  const float* source = from.data<float>();
  std::vector<float> sums(size_t(count >> 20));
  return 4e-9 * count / fastest(context, [&] {
    parallel_for(count >> 20, 1, [&](int64_t begin, int64_t end) { sums[size_t(begin)] = read_all(source + (begin << 20), (end - begin) << 20); });
  });
}

}  // namespace alinea
