#include "models/wav2vec2/sampling.h"

#include <cmath>
#include <numeric>

#include "engine/core/parallel.h"

namespace alinea {

Tensor SpanMask::draw(int64_t rows, int64_t columns, const std::vector<int32_t>& sizes, RandomKey key) const {
  require(sizes.empty() || int64_t(sizes.size()) == rows, "span mask: {} sizes for {} rows", sizes.size(), rows);
  const Tensor mask = Context::cpu().zeros({rows, columns}, DType::u8);
  const double u = Draw(key.child("rounding")).uniform();
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t size = sizes.empty() ? columns : sizes[size_t(row)], starts = std::max<int64_t>(0, size - length + 1);
    int64_t spans = std::max(min_spans, int64_t(probability * double(size) / double(length) + u));
    spans = std::min({spans, columns / length, starts});
    std::vector<int64_t> order(static_cast<size_t>(starts));
    std::iota(order.begin(), order.end(), 0);
    Draw draw(key.child("rows").child(uint64_t(row)));
    for (int64_t i = 0; i < spans; ++i) {
      std::swap(order[size_t(i)], order[size_t(draw.integer(i, starts - 1))]);
      std::fill_n(mask.data<uint8_t>() + row * columns + order[size_t(i)], length, uint8_t(1));
    }
  }
  return mask;
}

Tensor sample_negatives(const Tensor& mask, int64_t negatives, RandomKey key) {
  require(mask.rank() == 2 && mask.dtype() == DType::u8, "negatives: the mask is {} {}, it must be u8 [B, T]", mask.dtype(), mask.shape());
  const std::vector<uint8_t> is_masked = mask.values<uint8_t>();
  const int64_t B = mask.size(0), T = mask.size(1);
  const Tensor chosen = Context::cpu().zeros({B, T, negatives}, DType::i64);
  for (int64_t b = 0; b < B; ++b) {
    std::vector<int64_t> masked;
    for (int64_t t = 0; t < T; ++t)
      if (is_masked[size_t(b * T + t)]) masked.push_back(b * T + t);
    const int64_t n = int64_t(masked.size());
    for (int64_t i = 0; i < n; ++i) {
      Draw draw(key.child(uint64_t(masked[size_t(i)])));
      int64_t* out = chosen.data<int64_t>() + masked[size_t(i)] * negatives;
      for (int64_t k = 0; k < negatives; ++k) {
        const int64_t j = n > 1 ? draw.integer(0, n - 2) : 0;
        out[k] = masked[size_t(j + (n > 1 && j >= i))];
      }
    }
  }
  return chosen;
}

Tensor gumbel_noise(Context& context, const Shape& shape, RandomKey key) {
  std::vector<float> noise(size_t(shape.count()));
  parallel_for((shape.count() + 3) / 4, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const auto bits = key.block(uint64_t(block));
      for (int64_t i = 4 * block; i < std::min(4 * block + 4, shape.count()); ++i)
        noise[size_t(i)] = float(-std::log(-std::log((double(bits[size_t(i % 4)]) + 0.5) * 0x1p-32)));
    }
  });
  return context.from(noise.data(), shape);
}

}  // namespace alinea
