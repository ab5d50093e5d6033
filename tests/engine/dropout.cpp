#include "engine/ops/dropout.h"

#include <doctest/doctest.h>

#include "engine/ops/philox.h"

using namespace alinea;

TEST_CASE("philox_blocks: the bits of RandomKey::block, also where the counter carries into its upper half") {
  for (const RandomKey key : {RandomKey{}, RandomKey{0x123456789ABCDEFull, 0xFEDCBA9876543210ull}.child("ffn")})
    for (const uint64_t first : std::vector<uint64_t>{0, 77, 0xFFFFFFFCull, 0xFFFFFFFFFFFFFFF0ull}) {
      uint32_t numbers[philox_width];
      philox_blocks(key, first, numbers);
      for (uint64_t i = 0; i < uint64_t(philox_width); ++i) CHECK(numbers[i] == key.block(first + i / 4)[i % 4]);
    }
}

TEST_CASE("dropout: the mask follows from key, offset and element, in float and double, forward and back") {
  const Dropout op{0.3, RandomKey{5}.child("x"), 9};
  const int64_t n = 100003;
  auto check = [&]<class T>(T) {
    const Tensor x = Context::cpu().full({n}, dtype_of<T>, 2);
    const auto y = op.forward(x, nullptr).template values<T>();
    int64_t wrong = 0, dropped = 0;
    for (int64_t e = 0; e < n; ++e) {
      const bool keep = op.key.block(op.offset + uint64_t(e / 4))[size_t(e % 4)] >= uint32_t(0.3 * 0x1p32);
      wrong += y[size_t(e)] != (keep ? T(2) * T(1 / 0.7) : T(0));
      dropped += !keep;
    }
    CHECK(wrong == 0);
    CHECK(std::abs(double(dropped) / double(n) - 0.3) < 0.006);   // four standard deviations
    CHECK(op.backward({}, Tensor(x), {})[0].template values<T>() == y);
    CHECK(x.template values<T>() == std::vector<T>(size_t(n), T(2)));   // g was held by the caller: not overwritten
  };
  check(1.0f);
  check(1.0);
}

TEST_CASE("dropout: p = 0 is the identity, p outside 0 … 1 is refused, dropped NaN are 0") {
  const Tensor x = Context::cpu().full({64}, DType::f32, NAN);
  CHECK(Dropout{0}.forward(x, nullptr).shares_storage(x));
  CHECK_THROWS_AS(Dropout{1}.forward(x, nullptr), Error);
  CHECK_THROWS_AS(Dropout{-0.1}.forward(x, nullptr), Error);
  CHECK_THROWS_AS(Dropout{NAN}.forward(x, nullptr), Error);
  int zeros = 0;
  for (const float y : Dropout{0.5}.forward(x, nullptr).values<float>()) zeros += y == 0;
  CHECK(zeros > 0);
}
