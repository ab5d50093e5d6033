#include "engine/ops/beta_rows.h"

#include "engine/core/device.h"

namespace alinea {

void check_lengths(std::string_view op, std::string_view side, const std::vector<int32_t>& lengths, int64_t B, int64_t most) {
  require(lengths.empty() || int64_t(lengths.size()) == B, "{}: {} {} lengths for a batch of {}", op, lengths.size(), side, B);
  for (const int32_t n : lengths) require(n >= 1 && n <= most, "{}: a {} length is {}; it must be 1 … {}", op, side, n, most);
}

BetaSizes::BetaSizes(std::string_view op, const Tensor& alpha, const Tensor& u, const std::vector<int32_t>& lengths, int64_t ratio)
    : ratio(ratio), lengths(lengths) {
  same_device(op, u, alpha);
  require(ratio >= 1, "{}: the pooling ratio is {}; it must be at least 1", op, ratio);
  require(u.rank() == 4 && u.size(3) >= 1, "{}: u is {}; it must be [B, H, T, S] with S at least 1", op, u.shape());
  B = u.size(0), H = u.size(1), T = u.size(2), S = u.size(3), C = (S + ratio - 1) / ratio;
  heads = alpha.rank() == 4 && alpha.size(1) == 1 ? 1 : H;
  require(alpha.shape() == Shape({B, heads, T, C}), "{}: alpha is {}, u is {}; with ratio {} alpha must be [{}, {} or 1, {}, {}]", op, alpha.shape(),
          u.shape(), ratio, B, H, T, C);
  require(alpha.dtype() == u.dtype(), "{}: alpha is {} and u is {}; both must have one dtype", op, alpha.dtype(), u.dtype());
  check_lengths(op, "source", lengths, B, S);
}

}  // namespace alinea
