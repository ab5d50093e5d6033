// Counter-based random numbers: Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
// A number is a pure function of (seed, path, index): no generator state, so checkpointing, resuming and threads see the same values.
#pragma once
#include <array>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

namespace alinea {

/// Ten rounds of Philox on a 128-bit counter with a 64-bit key: four independent 32-bit numbers. constexpr also lets GPU code call it.
constexpr std::array<uint32_t, 4> philox(std::array<uint32_t, 4> c, uint64_t key) {
  uint32_t k0 = uint32_t(key), k1 = uint32_t(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const uint64_t a = uint64_t(0xD2511F53u) * c[0], b = uint64_t(0xCD9E8D57u) * c[2];
    c = {uint32_t(b >> 32) ^ c[1] ^ k0, uint32_t(b), uint32_t(a >> 32) ^ c[3] ^ k1, uint32_t(a)};
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return c;
}

/// A value that names a stream of random numbers: a seed and a path of names. Children are independent streams.
struct RandomKey {
  uint64_t seed = 0, path = 0;
  bool is_deferred = false;                                 // parameters made with this key take no memory: their values are loaded later

  /// The key of a model that is about to be loaded: nothing is drawn, nothing allocated. Its children are deferred too.
  static RandomKey deferred() { return {0, 0, true}; }

  RandomKey child(uint64_t i) const {
    const auto r = philox({uint32_t(i), uint32_t(i >> 32), uint32_t(path), uint32_t(path >> 32)}, seed ^ 0xA5A5A5A5DEADBEEFull);
    return {seed, (uint64_t(r[0]) << 32 | r[1]) ^ (uint64_t(r[2]) << 7), is_deferred};
  }
  RandomKey child(std::string_view name) const {
    uint64_t h = 1469598103934665603ull;  // FNV-1a
    for (const char c : name) h = (h ^ uint8_t(c)) * 1099511628211ull;
    return child(h);
  }
  /// Four 32-bit numbers: block `index` of this stream. Element e of a tensor uses number e % 4 of block e / 4.
  constexpr std::array<uint32_t, 4> block(uint64_t index) const {
    return philox({uint32_t(index), uint32_t(index >> 32), uint32_t(path), uint32_t(path >> 32)}, seed);
  }
};

/// Sequential draws from one key, for host code (data recipes, initialisation): Draw d(key); d.uniform(); d.integer(0, 9).
class Draw {
 public:
  explicit Draw(RandomKey key) : key_(key) {}
  uint32_t bits() {
    if (next_ == 4) block_ = key_.block(index_++), next_ = 0;
    return block_[next_++];
  }
  double uniform() { return (bits() >> 8) * 0x1p-24; }                             // [0, 1)
  double uniform(double low, double high) { return low + (high - low) * uniform(); }
  int64_t integer(int64_t low, int64_t high) {                                     // low … high, both included
    const uint64_t wide = uint64_t(bits()) << 32 | bits();
    return low + int64_t((unsigned __int128)wide * uint64_t(high - low + 1) >> 64);
  }
  double normal() {                                                                // Box–Muller
    const double r = std::sqrt(-2 * std::log(1 - uniform()));
    return r * std::cos(6.283185307179586 * uniform());
  }
  template <class T>
  void shuffle(std::vector<T>& items) {                                            // Fisher–Yates
    for (int64_t i = int64_t(items.size()) - 1; i > 0; --i) std::swap(items[i], items[integer(0, i)]);
  }

 private:
  RandomKey key_;
  uint64_t index_ = 0;
  std::array<uint32_t, 4> block_{};
  int next_ = 4;
};

}  // namespace alinea
