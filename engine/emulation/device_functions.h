// What CUDA gives to code in kernels.
#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <utility>

#include "engine/emulation/block.h"

#define __global__
#define __device__
#define __host__
#define __constant__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#define __shared__ static

// Where a barrier stands is its identity: the file and line of the caller.
inline void __syncthreads(std::source_location at = std::source_location::current()) { alinea::emulation::wait_for_block(at); }

inline void __syncwarp(unsigned mask = ~0u, std::source_location at = std::source_location::current()) {
  alinea::emulation::wait_for_warp({alinea::emulation::Exchange::sync, mask, 0, 0}, at);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, std::source_location at = std::source_location::current()) {
  return unsigned(alinea::emulation::wait_for_warp({alinea::emulation::Exchange::ballot, mask, 0, uint64_t(predicate != 0)}, at));
}
inline int __any_sync(unsigned mask, int predicate, std::source_location at = std::source_location::current()) { return __ballot_sync(mask, predicate, at) != 0; }
inline int __all_sync(unsigned mask, int predicate, std::source_location at = std::source_location::current()) { return __ballot_sync(mask, predicate, at) == mask; }

namespace alinea::emulation {

template <class T>
T read_lane(unsigned mask, T value, int lane, std::source_location at) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8);
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = wait_for_warp({Exchange::shuffle, mask, lane, bits}, at);
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

}  // namespace alinea::emulation

// A warp in segments of `width` lanes; a lane outside its own segment is not read.
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = warpSize, std::source_location at = std::source_location::current()) {
  const int first = alinea::emulation::lane() / width * width;
  return alinea::emulation::read_lane(mask, value, first + (lane & (width - 1)), at);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = warpSize, std::source_location at = std::source_location::current()) {
  const int own = alinea::emulation::lane(), from = own - int(delta);
  return alinea::emulation::read_lane(mask, value, from < own / width * width ? own : from, at);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = warpSize, std::source_location at = std::source_location::current()) {
  const int own = alinea::emulation::lane(), from = own + int(delta);
  return alinea::emulation::read_lane(mask, value, from >= (own / width + 1) * width ? own : from, at);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = warpSize, std::source_location at = std::source_location::current()) {
  const int own = alinea::emulation::lane(), from = own ^ lanes;
  return alinea::emulation::read_lane(mask, value, from >= (own / width + 1) * width ? own : from, at);
}

// Fibers change only at barriers, so plain code is atomic.
template <class T>
T atomicAdd(T* p, std::type_identity_t<T> value) { return std::exchange(*p, T(*p + value)); }

inline float rsqrt(float x) { return 1 / std::sqrt(x); }
inline double rsqrt(double x) { return 1 / std::sqrt(x); }
template <class T>
T __ldg(const T* p) { return *p; }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __ffs(int x) { return x == 0 ? 0 : std::countr_zero(unsigned(x)) + 1; }
using std::max, std::min;
