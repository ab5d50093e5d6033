// Products with weights stored as bf16. What few rows cost is reading the weights: every lane has four loads of 16 bytes on the way, and a weight
// meets all rows while it lies in a register. Many rows meet weights that are widened panel by panel.
#include "engine/blas/gemm.h"
#include "engine/core/cuda_reduce.cuh"
#include "engine/ops/cuda_kernels.h"
#include "engine/ops/elementwise_math.h"
#include "engine/ops/few_rows.h"

namespace alinea::cuda {

namespace {

constexpr int outputs_of_block = 4, warps_sharing = 4;       // the warps of a block share the inputs of its outputs

/// V neighbours that one instruction loads: V is 8, or 1 where memory is not aligned to that.
template <class T, int V>
struct alignas(sizeof(T) * V) Pack {
  T value[V];
};

struct FewRows {
  const float* x;
  const bf16* weight;
  const float* bias;
  float* y;
  int64_t rows, in, out;
  Activation activation;
};

// K values of every lane (K a power of two): lane l gets value l % K, summed over the lanes that equal it but for its last log2 K bits. In every
// step a lane hands half of its values to its partner and goes on with the others, so that all take K - 1 shuffles and not K log2 K.
template <int K>
__device__ float spread_sums(const float (&v)[K]) {
  if constexpr (K == 1) {
    return v[0];
  } else {
    constexpr int half = K / 2;
    const bool upper = threadIdx.x & unsigned(half);
    float rest[half];
#pragma unroll
    for (int i = 0; i < half; ++i) {
      const float low = v[i], high = v[i + half];            // named, or the compiler selects between addresses and puts v into memory
      rest[i] = (upper ? high : low) + __shfl_xor_sync(all_lanes, upper ? low : high, half);
    }
    return spread_sums(rest);
  }
}

// The sums of K ≤ 32 values over the lanes of a warp: lane l gets that of value l % K.
template <int K>
__device__ float sums_over_warp(const float (&v)[K]) {
  float total = spread_sums(v);
  for (int w = K; w < warp; w *= 2) total += __shfl_xor_sync(all_lanes, total, w);
  return total;
}

// Σ over this warp's share of the inputs for R rows from `row` and the block's outputs from `first`. Rows and outputs beyond the last read the
// last one's numbers, and nobody takes their sums.
template <int R, int V>
__device__ float part_of_sums(const FewRows& p, int64_t row, int64_t first) {
  float s[R * outputs_of_block] = {};
  for (int64_t i = int64_t(threadIdx.x) * V; i < p.in; i += int64_t(blockDim.x) * V) {
    Pack<bf16, V> w[outputs_of_block];
#pragma unroll
    for (int n = 0; n < outputs_of_block; ++n) w[n] = *reinterpret_cast<const Pack<bf16, V>*>(p.weight + std::min(first + n, p.out - 1) * p.in + i);
#pragma unroll
    for (int r = 0; r < R; ++r) {
      constexpr int half = V == 1 ? 1 : V / 2;               // 16 bytes of x
      const float* x = p.x + std::min(row + r, p.rows - 1) * p.in + i;
#pragma unroll
      for (int v = 0; v < V; v += half) {
        const auto some = *reinterpret_cast<const Pack<float, half>*>(x + v);
#pragma unroll
        for (int j = 0; j < half; ++j)
#pragma unroll
          for (int n = 0; n < outputs_of_block; ++n) s[r * outputs_of_block + n] += some.value[j] * float(w[n].value[v + j]);
      }
    }
  }
  return sums_over_warp(s);
}

__device__ float activated(float h, Activation activation) {
  if (activation == Activation::relu) return math::Relu{}.value(h);
  return activation == Activation::gelu ? math::Gelu{}.value(h) : h;
}

// A block has all rows of its outputs; rows beyond R find the weights in the cache.
template <int R, int V>
__global__ void few_rows_kernel(FewRows p) {
  constexpr int sums = R * outputs_of_block;
  __shared__ float parts[warps_sharing][sums];
  const int64_t first = int64_t(blockIdx.x) * outputs_of_block;
  const int lane = int(threadIdx.x) % warp, own = int(threadIdx.x) / warp;
  for (int64_t row = 0; row < p.rows; row += R) {
    const float part = part_of_sums<R, V>(p, row, first);
    if (lane < sums) parts[own][lane] = part;
    __syncthreads();
    const int64_t r = row + lane / outputs_of_block, o = first + lane % outputs_of_block;
    if (own == 0 && lane < sums && r < p.rows && o < p.out) {
      float h = p.bias ? p.bias[o] : 0.f;
      for (int w = 0; w < warps_sharing; ++w) h += parts[w][lane];
      p.y[r * p.out + o] = activated(h, p.activation);
    }
    __syncthreads();                                         // before the parts of the next rows
  }
}

template <int V>
void few_rows(Context& context, const FewRows& p) {
  const int64_t blocks = (p.out + outputs_of_block - 1) / outputs_of_block;
  auto start = [&](void (*kernel)(FewRows)) { launch(context, "linear with bf16 weights", blocks, warps_sharing * warp, 0, kernel, p); };
  if (p.rows == 1) start(few_rows_kernel<1, V>);
  else if (p.rows == 2) start(few_rows_kernel<2, V>);
  else if (p.rows <= 4) start(few_rows_kernel<4, V>);
  else start(few_rows_kernel<8, V>);
}

// h = x Wᵀ by products of the usual kind.
void widened_product(const Tensor& x, const Tensor& weight, const Tensor& h) {
  constexpr int64_t most_weights = 1 << 24;                  // 64 MB of f32
  const int64_t in = weight.size(1), out = weight.size(0), panel = std::max<int64_t>(1, most_weights / std::max<int64_t>(1, in));
  for (int64_t o = 0; o < out; o += panel) {
    const int64_t n = std::min(panel, out - o);
    const Tensor wide = weight.slice(0, o, o + n).to(DType::f32);
    gemm(x.context(), Gemm{.transpose_b = true, .m = x.shape().rows(), .n = n, .k = in, .lda = in, .ldb = in, .ldc = out}, x.data<float>(), wide.data<float>(), h.data<float>() + o);
  }
}

}  // namespace

void stored_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation, const Tensor& y) {
  const FewRows p{x.data<float>(), weight.data<bf16>(), pointer<float>(bias), y.data<float>(), x.shape().rows(), weight.size(1), weight.size(0), activation};
  if (p.rows <= most_few_rows) {
    auto aligned = [](const void* at) { return reinterpret_cast<uintptr_t>(at) % 16 == 0; };
    if (p.in % 8 == 0 && aligned(p.x) && aligned(p.weight)) few_rows<8>(x.context(), p);
    else few_rows<1>(x.context(), p);
    return;
  }
  widened_product(x, weight, y);
  if (bias || activation != Activation::none) bias_activation(y, bias, activation, y);
}

}  // namespace alinea::cuda
