#include "engine/ops/embedding.h"

#include "engine/core/device.h"
#include "engine/core/parallel.h"
#include "engine/core/vec.h"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/few_rows.h"

namespace alinea {

namespace {

template <class T>
ALINEA_KERNEL void take_rows(const T* weight, const int64_t* ids, T* y, int64_t width, T scale, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    const T* from = weight + ids[r] * width;
    T* to = y + r * width;
    int64_t i = 0;
    for (; i + lanes<T> <= width; i += lanes<T>) store(to + i, load(from + i) * scale);
    for (; i < width; ++i) to[i] = from[i] * scale;
  }
}

// Columns begin … end-1 of every row of g, in order.
template <class T>
ALINEA_KERNEL void add_rows(const T* g, const int64_t* ids, T* weight, int64_t rows, int64_t width, T scale, int64_t skip, int64_t begin, int64_t end) {
  for (int64_t r = 0; r < rows; ++r) {
    if (ids[r] == skip) continue;
    const T* from = g + r * width;
    T* to = weight + ids[r] * width;
    int64_t i = begin;
    for (; i + lanes<T> <= end; i += lanes<T>) store(to + i, load(to + i) + load(from + i) * scale);
    for (; i < end; ++i) to[i] += from[i] * scale;
  }
}

// "[2, 5]": the place of element i in a tensor.
std::string place(const Shape& shape, int64_t i) {
  Shape at = shape;
  for (int a = shape.rank; a-- > 0; i /= shape.dim[a]) at.dim[a] = i % shape.dim[a];
  return at.str();
}

}  // namespace

Tensor Embedding::forward(const Tensor& weight, const Tensor& ids, Saved* kept) const {
  require(weight.rank() == 2, "embedding: weight is {}; it must be [V, C]", weight.shape());
  require(ids.dtype() == DType::i64, "embedding: ids are {}; they must be i64, convert them with to(DType::i64)", ids.dtype());
  require(ids.rank() < Shape::max_rank, "embedding: ids are {}; one axis more than {} is not possible", ids.shape(), ids.rank());
  const int64_t vocabulary = weight.size(0), width = weight.size(1), rows = ids.count();
  const Tensor host = ids.compact().to(Context::cpu());     // ids already there cost nothing; those of a GPU are waited for
  const int64_t* id = host.data<int64_t>();
  for (int64_t i = 0; i < rows; ++i)
    require_data(0 <= id[i] && id[i] < vocabulary, "embedding: ids{} is {}, but weight has V = {} rows; use the tokenizer that the model was made with",
                 place(ids.shape(), i), id[i], vocabulary);
  Shape shape = ids.shape();
  shape.dim[shape.rank++] = width;
  const bool stored = weight.dtype() == DType::bf16;
  require(!stored || !kept, "embedding: weight {} is bf16 and has no gradient; for training convert the weights with to(DType::f32)", weight.shape());
  const Tensor y = weight.context().empty(shape, stored ? DType::f32 : weight.dtype());
  auto on_cpu = [&] {
    if (stored) {
      float* to = y.data<float>();
      for (int64_t r = 0; r < rows; ++r) widen(weight.data<bf16>() + id[r] * width, to + r * width, width);
      for (int64_t i = 0; i < rows * width; ++i) to[i] *= float(scale);
      return;
    }
    with_float(weight.dtype(), "embedding", [&]<class T>() {
      const T* from = weight.data<T>();
      T* to = y.data<T>();
      parallel_for(rows, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, width)),
                   [&](int64_t begin, int64_t end) { take_rows(from, id, to, width, T(scale), begin, end); });
    });
  };
  on_device(weight, on_cpu, [&] { cuda::embedding(weight, ids.compact().to(weight.context()), scale, y); });
  if (kept) kept->ids = host, kept->weight = weight.shape();
  return y;
}

Grads<2> Embedding::backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const {
  if (!need[0]) return {};
  g = g.compact();
  const Tensor d = need[0].into ? need[0].into : g.context().zeros(kept.weight, g.dtype());
  const int64_t width = kept.weight[1], rows = kept.ids.count(), strip = 16;   // a strip of columns is a cache line: threads share none
  const int64_t* id = kept.ids.data<int64_t>();
  auto on_cpu = [&] {
    with_float(g.dtype(), "embedding", [&]<class T>() {
      const T* from = g.data<T>();
      T* to = d.data<T>();
      parallel_for((width + strip - 1) / strip, std::max<int64_t>(1, 32768 / std::max<int64_t>(1, rows * strip)), [&](int64_t begin, int64_t end) {
        add_rows(from, id, to, rows, width, T(scale), padding_idx, begin * strip, std::min(width, end * strip));
      });
    });
  };
  on_device(g, on_cpu, [&] { cuda::embedding_backward(g, std::vector<int64_t>(id, id + rows), padding_idx, scale, d); });
  return {d, {}};
}

}  // namespace alinea
