// Blocks of CUDA threads on the CPU: every thread of a block is a fiber with a stack of its own, barriers and exchanges within a warp switch
// fibers, a block ends when all its fibers have ended, and blocks run one after the other. All on one OS thread, so a debugger can step
// through a kernel. The order in which fibers run between two barriers, and in which blocks run, is ascending, descending or shuffled, by the
// environment variable ALINEA_EMULATION_ORDER: a kernel whose result depends on it has a race.
//
// Refused, with the place in the source: a barrier that some threads of the block do not reach, two different barriers at once, and an
// exchange within a warp that names lanes which do not take part.
#pragma once
#include <cstdint>
#include <functional>
#include <source_location>
#include <string>

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x = 1, y = 1, z = 1;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

inline uint3 threadIdx, blockIdx;                            // of the fiber that runs
inline dim3 blockDim, gridDim;
inline constexpr int warpSize = 32;

namespace alinea::emulation {

/// Runs body() as every thread of every block. The answer is empty, or says what the kernel did wrong.
std::string run_grid(dim3 blocks, dim3 threads, size_t dynamic_shared_bytes, const std::function<void()>& body);

/// What the threads of a warp tell each other: each gives `bits`, and gets those of lane `read`, or one bit per lane that says bits != 0.
struct Exchange {
  enum Kind { sync, shuffle, ballot } kind = sync;
  unsigned mask = ~0u;
  int read = 0;
  uint64_t bits = 0;
};

// Called by a running fiber.
void wait_for_block(std::source_location at);
uint64_t wait_for_warp(const Exchange& exchange, std::source_location at);
int lane();
void* dynamic_shared_memory();

}  // namespace alinea::emulation
