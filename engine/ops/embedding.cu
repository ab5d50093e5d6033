// Rows of a table. The gradient of a row is summed by one thread per column over the places where the row stands, in their order.
#include <numeric>

#include "engine/core/cuda_upload.cuh"
#include "engine/ops/cuda_kernels.h"

namespace alinea::cuda {

namespace {

template <class W, class T>
void take(const Tensor& weight, const Tensor& ids, T scale, const Tensor& y) {
  const W* from = weight.data<W>();
  const int64_t* id = ids.data<int64_t>();
  T* to = y.data<T>();
  const int64_t width = weight.size(1);
  each(y.context(), y.count(), "embedding", [=] __device__(int64_t i) { to[i] = T(from[id[i / width] * width + i % width]) * scale; });
}

// The places of each id that occurs, one after the other: those of occurring[k] are places[begin[k]] … places[begin[k + 1] - 1].
struct Places {
  std::vector<int64_t> places, occurring, begin;
  Places(const std::vector<int64_t>& ids, int64_t skip) {
    places.resize(ids.size());
    std::iota(places.begin(), places.end(), 0);
    std::erase_if(places, [&](int64_t p) { return ids[size_t(p)] == skip; });
    std::stable_sort(places.begin(), places.end(), [&](int64_t a, int64_t b) { return ids[size_t(a)] < ids[size_t(b)]; });
    for (size_t k = 0; k < places.size(); ++k) {
      const int64_t id = ids[size_t(places[k])];
      if (occurring.empty() || occurring.back() != id) occurring.push_back(id), begin.push_back(int64_t(k));
    }
    begin.push_back(int64_t(places.size()));
  }
};

template <class T>
void add(const Tensor& g, const std::vector<int64_t>& ids, int64_t skip, T scale, const Tensor& d) {
  const Places host(ids, skip);
  if (host.places.empty()) return;
  Context& context = g.context();
  const Tensor places = upload(context, host.places), occurring = upload(context, host.occurring), begin = upload(context, host.begin);
  const T* from = g.data<T>();
  T* to = d.data<T>();
  const int64_t *place = places.data<int64_t>(), *row = occurring.data<int64_t>(), *first = begin.data<int64_t>(), width = d.size(1);
  each(context, occurring.count() * width, "embedding backward", [=] __device__(int64_t i) {
    const int64_t k = i / width, c = i % width;
    T s = to[row[k] * width + c];
    for (int64_t p = first[k]; p < first[k + 1]; ++p) s += from[place[p] * width + c] * scale;
    to[row[k] * width + c] = s;
  });
}

}  // namespace

void embedding(const Tensor& weight, const Tensor& ids, double scale, const Tensor& y) {
  if (weight.dtype() == DType::bf16) return take<bf16>(weight, ids, float(scale), y);
  with_float(weight.dtype(), "embedding", [&]<class T>() { take<T>(weight, ids, T(scale), y); });
}

void embedding_backward(const Tensor& g, const std::vector<int64_t>& ids, int64_t skip, double scale, const Tensor& d) {
  with_float(g.dtype(), "embedding", [&]<class T>() { add<T>(g, ids, skip, T(scale), d); });
}

}  // namespace alinea::cuda
