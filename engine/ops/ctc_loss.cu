// CTC: a block per item, its threads the states of the extended target, frame after frame; α, β and occupancies as logarithms in double.
#include "engine/core/cuda_reduce.cuh"
#include "engine/core/cuda_upload.cuh"
#include "engine/ops/cuda_losses.h"

namespace alinea::cuda {

namespace {

constexpr int state_threads = 256;

// The items of a batch as a kernel argument.
template <class T>
struct Items {
  const T* logits;
  const double *log_total, *weights;                         // weights: what an item counts in the result
  const int64_t* states;                                     // l' of each item, S apart
  const int32_t *next, *frames, *labels;                     // next: see Batch
  int64_t T_, V, S;

  __device__ int64_t count(int64_t b) const { return 2 * int64_t(labels[b]) + 1; }
  __device__ double log_y(int64_t b, int64_t t, int64_t s) const { return double(logits[(b * T_ + t) * V + states[b * S + s]]) - log_total[b * T_ + t]; }
  // Whether a path may go from state s − 2 to s: not into a blank (even s), not between equal labels.
  __device__ bool skips(int64_t b, int64_t s) const { return s >= 2 && s % 2 == 1 && states[b * S + s] != states[b * S + s - 2]; }
};

// What the host knows of a batch, on the GPU. next: for a state that is the first with its label, minus one minus the next state with that label
// (or -1 when there is none); for others the next one, or 0. So all states of a label can be walked from its first one, in order.
struct Batch {
  Tensor states, next, frames, labels, weights;
  int64_t S;
  Batch(const CtcLoss& op, const Tensor& target, Context& context, const std::vector<double>& item_weights) : S(2 * target.size(1) + 1) {
    const int64_t B = target.size(0), L = target.size(1);
    std::vector<int64_t> all(size_t(B * S), op.blank);
    std::vector<int32_t> links(size_t(B * S), 0);
    for (int64_t b = 0; b < B; ++b) {
      const int64_t n = op.target_lengths[size_t(b)];
      int64_t* l = all.data() + b * S;
      int32_t* link = links.data() + b * S;
      for (int64_t k = 0; k < n; ++k) l[2 * k + 1] = target.data<int64_t>()[b * L + k];
      link_equal(l, link, 2 * n + 1);
    }
    states = upload(context, all), next = upload(context, links), frames = upload(context, op.input_lengths), labels = upload(context, op.target_lengths);
    weights = upload(context, item_weights);
  }
  template <class T>
  Items<T> items(const CtcTensors& a) const {
    return {a.logits.data<T>(), a.log_total.data<double>(), weights.data<double>(), states.data<int64_t>(), next.data<int32_t>(), frames.data<int32_t>(),
            labels.data<int32_t>(), a.logits.size(1), a.logits.size(2), S};
  }

 private:
  static void link_equal(const int64_t* l, int32_t* link, int64_t n) {
    for (int64_t s = 0; s < n; ++s) {
      int64_t before = s - 1, after = s + 1;
      while (before >= 0 && l[before] != l[s]) --before;
      while (after < n && l[after] != l[s]) ++after;
      const auto following = int32_t(after < n ? after : 0);
      link[s] = before < 0 ? -1 - following : following;
    }
  }
};

// log(e^a + e^b + e^c); the largest gives 1 to the sum.
__device__ double log_add(double a, double b, double c) {
  const double m = a > b ? (a > c ? a : c) : b > c ? b : c;
  return m == -CUDART_INF ? m : m + std::log(std::exp(a - m) + std::exp(b - m) + std::exp(c - m));
}

template <class T>
__global__ void alpha_kernel(Items<T> items, double* log_alpha, double* losses) {
  const int64_t b = blockIdx.x, S = items.count(b), frames = items.frames[b];
  double* alpha = log_alpha + b * items.T_ * items.S;
  for (int64_t t = 0; t < frames; ++t) {
    const double *before = alpha + (t - 1) * items.S;
    for (int64_t s = threadIdx.x; s < S; s += blockDim.x) {
      double v = s < 2 ? 0 : -CUDART_INF;
      if (t > 0) v = log_add(before[s], s >= 1 ? before[s - 1] : -CUDART_INF, items.skips(b, s) ? before[s - 2] : -CUDART_INF);
      alpha[t * items.S + s] = v + items.log_y(b, t, s);
    }
    __syncthreads();                                         // the next frame reads the neighbours' states
  }
  if (threadIdx.x != 0) return;
  const double* last = alpha + (frames - 1) * items.S;
  if (frames == 0) losses[b] = S == 1 ? 0 : CUDART_INF;
  else losses[b] = -log_add(last[S - 1], S > 1 ? last[S - 2] : -CUDART_INF, -CUDART_INF);
}

// Turns log α_t(s) into α_t(s) β_t(s) / P. following: β_{t+1} y_{t+1} and β_t y_t in turn, S apart.
template <class T>
__global__ void occupancy_kernel(Items<T> items, double* log_alpha, const double* losses, double* following) {
  const int64_t b = blockIdx.x, S = items.count(b), frames = items.frames[b];
  const double log_p = -losses[b];
  if (log_p == -CUDART_INF) return;                          // no alignment: the gradient does not ask
  double *alpha = log_alpha + b * items.T_ * items.S, *rows = following + 2 * b * items.S;
  for (int64_t t = frames - 1; t >= 0; --t) {
    const double* next = rows + (t + 1) % 2 * items.S;
    double* now = rows + t % 2 * items.S;
    for (int64_t s = threadIdx.x; s < S; s += blockDim.x) {
      double beta = s >= S - 2 ? 0 : -CUDART_INF;
      if (t < frames - 1) beta = log_add(next[s], s + 1 < S ? next[s + 1] : -CUDART_INF, s + 2 < S && items.skips(b, s + 2) ? next[s + 2] : -CUDART_INF);
      now[s] = beta + items.log_y(b, t, s);
      alpha[t * items.S + s] = std::exp(alpha[t * items.S + s] + beta - log_p);
    }
    __syncthreads();
  }
}

template <class T>
void frame_totals(const Tensor& logits, const Tensor& log_total) {
  const T* in = logits.data<T>();
  double* out = log_total.data<double>();
  const int64_t V = logits.size(2);
  each_row(logits.context(), log_total.count(), V, "ctc_loss", [=] __device__(int64_t r) {
    const T* x = in + r * V;
    const T m = over_row<T>(V, Max{}, [=](int64_t i) { return x[i]; });
    const T total = over_row<T>(V, Sum{}, [=](int64_t i) { return std::exp(x[i] - m); });
    if (threadIdx.x == 0) out[r] = double(m) + std::log(double(total));
  });
}

// loss: one value per item, or their weighted sum.
template <class T>
void collect(const CtcLoss& op, const Batch& batch, const Tensor& losses, const Tensor& loss) {
  const double *p = losses.data<double>(), *weight = batch.weights.data<double>();
  T* out = loss.data<T>();
  const int64_t B = losses.count();
  const bool zero = op.zero_infinity, sum = op.reduction != Reduction::none;
  each_row(loss.context(), 1, B, "ctc_loss", [=] __device__(int64_t) {
    const double total = over_row<double>(B, Sum{}, [=](int64_t b) {
      const double value = zero && p[b] == CUDART_INF ? 0.0 : p[b];
      if (!sum) out[b] = T(value);
      return value * weight[b];
    });
    if (sum && threadIdx.x == 0) *out = T(total);
  });
}

template <class T>
void forward(const CtcLoss& op, const CtcTensors& a, const Batch& batch, const Tensor& loss) {
  frame_totals<T>(a.logits, a.log_total);
  launch(loss.context(), "ctc_loss", a.losses.count(), state_threads, 0, alpha_kernel<T>, batch.items<T>(a), a.log_alpha.data<double>(), a.losses.data<double>());
  collect<T>(op, batch, a.losses, loss);
}

// d = g · (softmax − occupancies); d may be the logits, which the occupancies have read.
template <class T>
void gradient(const CtcLoss& op, const CtcTensors& a, const Batch& batch, const Tensor& g, const Tensor& d) {
  const Items<T> items = batch.items<T>(a);
  const T* upstream = g.data<T>();
  T* out = d.data<T>();
  const double *losses = a.losses.data<double>(), *occupancy = a.log_alpha.data<double>();
  const bool zero = op.zero_infinity, one_each = op.reduction == Reduction::none;
  each(d.context(), d.count(), "ctc_loss backward", [=] __device__(int64_t i) {
    const int64_t t = i / items.V % items.T_, b = i / items.V / items.T_;
    const double scale = double(upstream[one_each ? b : 0]) * items.weights[b];
    if (t >= items.frames[b]) out[i] = T(0);
    else if (losses[b] == CUDART_INF) out[i] = zero ? T(0) : T(CUDART_INF - CUDART_INF);
    else out[i] = std::exp(items.logits[i] - T(items.log_total[i / items.V])) * T(scale);
  });
  each(d.context(), a.log_alpha.count(), "ctc_loss backward", [=] __device__(int64_t i) {
    const int64_t s = i % items.S, frame = i / items.S, t = frame % items.T_, b = frame / items.T_;
    if (t >= items.frames[b] || s >= items.count(b) || losses[b] == CUDART_INF || items.next[b * items.S + s] >= 0) return;
    double total = occupancy[i];
    for (int64_t k = -1 - items.next[b * items.S + s]; k > 0; k = items.next[b * items.S + k]) total += occupancy[frame * items.S + k];
    out[frame * items.V + items.states[b * items.S + s]] -= T(double(upstream[one_each ? b : 0]) * items.weights[b] * total);
  });
}

template <class T>
void backward(const CtcLoss& op, const CtcTensors& a, const Batch& batch, const Tensor& g, const Tensor& d) {
  const int64_t B = a.losses.count();
  const Tensor following = d.context().empty({B, 2, batch.S}, DType::f64);
  launch(d.context(), "ctc_loss backward", B, state_threads, 0, occupancy_kernel<T>, batch.items<T>(a), a.log_alpha.data<double>(), a.losses.data<double>(),
         following.data<double>());
  gradient<T>(op, a, batch, g, d);
}

}  // namespace

void ctc_loss(const CtcLoss& op, const CtcTensors& a, const std::vector<double>& weights, const Tensor& loss) {
  const Batch batch(op, a.target, loss.context(), weights);
  with_float(a.logits.dtype(), "ctc_loss", [&]<class T>() { forward<T>(op, a, batch, loss); });
}

void ctc_loss_backward(const CtcLoss& op, const CtcTensors& a, const std::vector<double>& weights, const Tensor& g, const Tensor& d) {
  const Batch batch(op, a.target, d.context(), weights);
  with_float(d.dtype(), "ctc_loss", [&]<class T>() { backward<T>(op, a, batch, g, d); });
}

}  // namespace alinea::cuda
