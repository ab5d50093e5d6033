#include "models/shift.h"

#include "engine/core/error.h"

namespace alinea {

namespace {

constexpr int64_t nothing = -100;

// Row by row: what first(row) says, then all but the last.
template <class First>
Tensor shifted(const Tensor& labels, int64_t pad, First&& first) {
  require(labels.rank() == 2 && labels.dtype() == DType::i64 && labels.size(1) > 0, "decoder input: labels are {}, expected i64 [B, T]", labels.shape());
  const int64_t B = labels.size(0), T = labels.size(1);
  std::vector<int64_t> ids = labels.values<int64_t>();
  for (int64_t& id : ids)
    if (id == nothing) id = pad;
  for (int64_t b = 0; b < B; ++b) {
    int64_t* row = ids.data() + b * T;
    const int64_t start = first(std::span<const int64_t>(row, size_t(T)));
    std::copy_backward(row, row + T - 1, row + T);
    row[0] = start;
  }
  return labels.context().from(ids.data(), {B, T});
}

}  // namespace

Tensor shift_right(const Tensor& labels, int64_t start, int64_t pad) {
  return shifted(labels, pad, [&](std::span<const int64_t>) { return start; });
}

Tensor rotate_right(const Tensor& labels, int64_t pad) {
  return shifted(labels, pad, [&](std::span<const int64_t> row) {
    const int64_t real = std::count_if(row.begin(), row.end(), [&](int64_t id) { return id != pad; });
    require_data(real > 0, "decoder input: a row of labels holds nothing but padding ({})", pad);
    return row[size_t(real - 1)];
  });
}

}  // namespace alinea
