// The alignment of a read/write policy: a block for each head of an item goes through the rows in order, and every row is a scan over its columns. A
// thread has the same columns in all rows, so what a row reads of its neighbour is the thread's own work.
#include "engine/core/cuda_scan.cuh"
#include "engine/core/cuda_upload.cuh"
#include "engine/ops/cuda_monotonic.h"

namespace alinea::cuda {

namespace {

constexpr int threads = 128, own = 4, columns_at_once = threads * own;   // `own` neighbouring columns to a thread

template <class T>
struct Choice {
  T write, read;                                            // p = σ(z), r = σ(-z)
};
// Both to full relative accuracy: the small one is formed first, the large one is what it leaves of 1.
template <class T>
__device__ Choice<T> choose(T z) {
  const T e = std::exp(-std::abs(z)), small = e / (1 + e), large = 1 - small;
  return z >= 0 ? Choice<T>{large, small} : Choice<T>{small, large};
}
// The last valid column writes for certain.
template <class T>
__device__ Choice<T> choose_at(const T* z, int64_t j, int64_t n) {
  return j == n - 1 ? Choice<T>{1, 0} : choose(z[j]);
}

struct Sizes {
  int64_t H, rows, S;
  const int32_t* lengths;
  __device__ int64_t length(int64_t unit) const { return lengths ? lengths[unit / H] : S; }
};

template <class T>
__global__ void forward_kernel(Sizes s, const T* z, T* alpha) {
  const int64_t n = s.length(blockIdx.x);
  z += blockIdx.x * s.rows * s.S, alpha += blockIdx.x * s.rows * s.S;
  for (int64_t i = 0; i < s.rows; ++i, z += s.S, alpha += s.S) {
    T q_before = 0;                                          // of the columns to the left
    for (int64_t first = 0; first < n; first += columns_at_once) {
      const int64_t begin = first + int64_t(threadIdx.x) * own;
      Affine<T> step[own], total;
      T write[own] = {}, read = begin > 0 && begin < n ? choose_at(z, begin - 1, n).read : T(0);
      for (int e = 0; e < own; ++e) {
        const int64_t j = begin + e;
        Affine<T> here = Affine<T>::nothing();
        if (j < n) {
          const T above = i > 0 ? alpha[j - s.S] : T(j == 0);
          const Choice<T> choice = choose_at(z, j, n);
          here = {read, above};
          write[e] = choice.write, read = choice.read;
        }
        step[e] = e > 0 ? step[e - 1] + here : here;
      }
      const T q = sum_before(step[own - 1], total)(q_before);
      for (int e = 0; e < own; ++e)
        if (begin + e < n) alpha[begin + e] = write[e] * step[e](q);
      q_before = total(q_before);
    }
    for (int64_t j = n + threadIdx.x; j < s.S; j += threads) alpha[j] = 0;
  }
}

// From the last row up, columns from the right: number k is column n - 1 - k. `value` [units, S] is V of the row below. dz may be g.
template <class T>
__global__ void backward_kernel(Sizes s, const T* z, const T* alpha, const T* g, T* dz, T* value) {
  const int64_t n = s.length(blockIdx.x);
  value += blockIdx.x * s.S;
  for (int64_t i = s.rows - 1; i >= 0; --i) {
    const int64_t at = (blockIdx.x * s.rows + i) * s.S;
    T after = 0;                                             // V of the columns to the right
    for (int64_t first = 0; first < n; first += columns_at_once) {
      const int64_t begin = first + int64_t(threadIdx.x) * own;
      Affine<T> step[own], total;
      T read[own] = {}, gain[own] = {};
      for (int e = 0; e < own; ++e) {
        Affine<T> here = Affine<T>::nothing();
        if (const int64_t j = n - 1 - begin - e; j >= 0) {
          const Choice<T> choice = choose_at(z + at, j, n);
          gain[e] = g[at + j] + (i + 1 < s.rows ? value[j] : T(0));
          read[e] = choice.read;
          here = {choice.read, choice.write * gain[e]};
        }
        step[e] = e > 0 ? step[e - 1] + here : here;
      }
      const T right = sum_before(step[own - 1], total)(after);
      for (int e = 0; e < own; ++e)
        if (const int64_t j = n - 1 - begin - e; j >= 0) {
          dz[at + j] = alpha[at + j] * read[e] * (gain[e] - (e > 0 ? step[e - 1](right) : right));
          value[j] = step[e](right);
        }
      after = total(after);
    }
    for (int64_t j = n + threadIdx.x; j < s.S; j += threads) dz[at + j] = 0;
  }
}

Sizes sizes_of(const Tensor& z, const Tensor& lengths) { return {z.size(1), z.size(2), z.size(3), lengths ? lengths.data<int32_t>() : nullptr}; }

}  // namespace

void monotonic_alpha(const std::vector<int32_t>& lengths, const Tensor& z, const Tensor& alpha) {
  const Tensor n = lengths.empty() ? Tensor() : upload(z.context(), lengths);
  with_float(z.dtype(), "monotonic_alpha", [&]<class T>() {
    launch(z.context(), "monotonic_alpha", z.size(0) * z.size(1), threads, 0, forward_kernel<T>, sizes_of(z, n), z.data<T>(), alpha.data<T>());
  });
}

void monotonic_alpha_backward(const std::vector<int32_t>& lengths, const Tensor& z, const Tensor& alpha, const Tensor& g, const Tensor& dz) {
  const Tensor n = lengths.empty() ? Tensor() : upload(z.context(), lengths), value = z.context().empty(Shape{z.size(0), z.size(1), z.size(3)}, z.dtype());
  with_float(z.dtype(), "monotonic_alpha", [&]<class T>() {
    launch(z.context(), "monotonic_alpha backward", z.size(0) * z.size(1), threads, 0, backward_kernel<T>, sizes_of(z, n), z.data<T>(), alpha.data<T>(), g.data<T>(),
           dz.data<T>(), value.data<T>());
  });
}

}  // namespace alinea::cuda
