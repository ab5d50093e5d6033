// Loops over OpenMP threads. The split depends only on n, grain and the number of threads, so sums are reproducible.
#pragma once
#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <exception>

#include "engine/core/context.h"

namespace alinea {

/// Threads that parallel_for(n, grain, …) would use: one per started grain, at most threads(), one inside a parallel region.
inline int threads_for(int64_t n, int64_t grain) {
  if (n <= grain || omp_in_parallel()) return 1;
  return int(std::min<int64_t>(threads(), (n + grain - 1) / grain));
}

/// f(begin, end) over equal contiguous parts of 0 … n-1, serial when n <= grain. Exceptions reach the caller.
template <class F>
void parallel_for(int64_t n, int64_t grain, F&& f) {
  const int parts = threads_for(n, grain);
  if (parts <= 1) {
    if (n > 0) f(int64_t(0), n);
    return;
  }
  std::exception_ptr error;
#pragma omp parallel num_threads(parts)
  {
    const int64_t k = omp_get_thread_num(), all = omp_get_num_threads();
    try {
      const int64_t begin = n * k / all, end = n * (k + 1) / all;
      if (begin < end) f(begin, end);
    } catch (...) {
#pragma omp critical
      error = std::current_exception();
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace alinea
