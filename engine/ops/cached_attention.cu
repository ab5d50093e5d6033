// Attention of single rows on many keys: a block per row, its warps take the keys in turns and add their sums in order at the end.
#include "engine/core/cuda_mask.cuh"
#include "engine/ops/attention_rows.cuh"
#include "engine/ops/cuda_attention_kernels.h"

namespace alinea::cuda {

namespace {

// The keys of one row: columns 0 … count-1, column j of item items[j] or of `item`.
struct Keys {
  int64_t head, item, first, count;
  const int32_t* items;
  template <class T>
  __device__ const T* at(const Heads<const T>& x, int64_t j) const {
    return x.data + (items ? items[j] : item) * x.item + head * x.head + (first + j) * x.row;
  }
};

// Rows of new tokens on the histories that they continue.
struct HistoryKeys {
  int64_t H, share, columns;                                 // rows per history
  const int64_t *begin, *end;
  const int32_t* source;
  __device__ Keys operator()(int64_t unit, int64_t) const {
    const int64_t n = unit / H / share, from = begin[n];
    return {unit % H, n, from, end[n] - from, source ? source + n * columns + from : nullptr};
  }
};

// Rows of softmax attention: what the mask shows.
struct MaskedKeys {
  MaskView mask;
  int64_t H, columns;
  __device__ Keys operator()(int64_t unit, int64_t row) const { return {unit % H, unit / H, 0, mask.visible(unit / H, row, columns), nullptr}; }
};

template <class T, int N, class K>
__global__ void rows_kernel(Heads<const T> q, Heads<const T> k, Heads<const T> v, K keys_of, T scale, int64_t rows, int64_t width, Heads<T> y, T* log_sum) {
  __shared__ T most[warps_of_block], total[warps_of_block], sums[warps_of_block][N * warp];
  const int64_t unit = blockIdx.x / rows, row = blockIdx.x % rows;
  const int own = int(threadIdx.x) / warp;
  const Keys keys = keys_of(unit, row);
  OnlineRow<T, N> r;
  r.query.read(q.at(unit, row), width);
  for (int64_t j = own * r.at_once; j < keys.count; j += warps_of_block * r.at_once) {
    const int count = int(std::min<int64_t>(r.at_once, keys.count - j));
    T scores[r.at_once];
    r.multiply(count, width, [&](int i) { return keys.at(k, j + i); }, scores);
    for (T& s : scores) s *= scale;
    r.add(count, width, scores, [&](int i) { return keys.at(v, j + i); }, [](int) { return T(1); });
  }
  most[own] = r.most, total[own] = r.total;
  r.sums.write(sums[own], width, T(1));
  __syncthreads();
  if (own != 0) return;
  for (int w = 1; w < warps_of_block; ++w) r.merge(most[w], total[w], sums[w], width);
  r.sums.write(y.at(unit, row), width, r.scale());
  if (log_sum && threadIdx.x == 0) log_sum[blockIdx.x] = r.log_sum();
}

template <class T, class K>
void run(const Tensor& q, const Tensor& k, const Tensor& v, K keys, double scale, const Tensor& y, const Tensor& log_sum, std::string_view place) {
  T* const sums = log_sum ? log_sum.data<T>() : nullptr;
  with_row_width(q.size(3), [&]<int N>() {
    launch(q.context(), place, q.size(0) * q.size(1) * q.size(2), warps_of_block * warp, 0, rows_kernel<T, N, K>, Heads<const T>(q), Heads<const T>(k),
           Heads<const T>(v), keys, T(scale), q.size(2), q.size(3), Heads<T>(y), sums);
  });
}

}  // namespace

void cached_attention(const CachedAttention& op, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y) {
  Context& context = q.context();
  std::vector<int64_t> bounds = op.begin;
  bounds.insert(bounds.end(), op.end.begin(), op.end.end());
  const Tensor histories = upload(context, bounds), source = op.source.empty() ? Tensor() : upload(context, op.source);
  const auto count = int64_t(op.end.size());
  const int64_t* const begin = histories.data<int64_t>();
  const HistoryKeys keys{q.size(1), q.size(0) / count, op.columns, begin, begin + count, source ? source.data<int32_t>() : nullptr};
  with_float(q.dtype(), "cached attention", [&]<class T>() { run<T>(q, k, v, keys, 1 / std::sqrt(double(q.size(3))), y, {}, "cached attention"); });
}

void softmax_attention_rows(const Mask& mask, double scale, const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& y, const Tensor& log_sum) {
  const MaskOnDevice on_device(mask, q.context());
  const MaskedKeys keys{on_device.view(), q.size(1), k.size(2)};
  with_float(q.dtype(), "softmax_attention", [&]<class T>() { run<T>(q, k, v, keys, scale, y, log_sum, "softmax_attention"); });
}

}  // namespace alinea::cuda
