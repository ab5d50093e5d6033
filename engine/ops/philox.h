// Philox 4x32-10 over eight counters at once: the same bits as RandomKey::block, for the masks of dropout.
#pragma once
#include "engine/core/random.h"
#include "engine/core/vec.h"

namespace alinea {

typedef uint64_t Counters __attribute__((vector_size(64)));
constexpr int64_t philox_width = 32;                        // numbers per call

/// out[4 b + w] = number w of key.block(first + b), b = 0 … 7. Numbers travel in the low halves of 64-bit lanes, so that the products fit.
ALINEA_INLINE void philox_blocks(RandomKey key, uint64_t first, uint32_t* out) {
  const Counters low = Counters{} + 0xFFFFFFFFu, index = Counters{0, 1, 2, 3, 4, 5, 6, 7} + first;
  Counters c0 = index & low, c1 = index >> 32, c2 = Counters{} + (key.path & 0xFFFFFFFFu), c3 = Counters{} + (key.path >> 32);
  uint32_t k0 = uint32_t(key.seed), k1 = uint32_t(key.seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const Counters a = c0 * 0xD2511F53ull, b = c2 * 0xCD9E8D57ull;
    c0 = (b >> 32) ^ c1 ^ uint64_t(k0);
    c1 = b & low;
    c2 = (a >> 32) ^ c3 ^ uint64_t(k1);
    c3 = a & low;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  // Little-endian: a 64-bit lane c0 | c1 << 32 is number 0 followed by number 1.
  const Counters p = c0 | c1 << 32, q = c2 | c3 << 32;
  const Counters head = __builtin_shuffle(p, q, Counters{0, 8, 1, 9, 2, 10, 3, 11}), tail = __builtin_shuffle(p, q, Counters{4, 12, 5, 13, 6, 14, 7, 15});
  std::memcpy(out, &head, sizeof head);
  std::memcpy(out + 16, &tail, sizeof tail);
}

}  // namespace alinea
