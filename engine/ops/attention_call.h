// What the attentions that work tile by tile share: the inputs and sizes of one call, scratch memory, and the threads that take the heads.
#pragma once
#include "engine/blas/tile.h"
#include "engine/core/parallel.h"
#include "engine/ops/heads.h"

namespace alinea {

/// q [B, H, T, D], k and v [B, H, S, D] of one call.
template <class T>
struct AttentionInputs {
  Heads<const T> q, k, v;
  int64_t B, H, T_, S, D, P;                                 // P: D in whole vectors
  AttentionInputs(const Tensor& q, const Tensor& k, const Tensor& v)
      : q(q), k(k), v(v), B(q.size(0)), H(q.size(1)), T_(q.size(2)), S(k.size(2)), D(q.size(3)), P(whole_vectors<T>(D)) {}
};

/// Scratch memory of one thread, one block after the other, each in whole vectors.
template <class T>
class Scratch {
 public:
  explicit Scratch(T* at) : at_(at) {}
  T* take(int64_t n) {
    T* p = at_;
    at_ += whole_vectors<T>(n);
    return p;
  }

 private:
  T* at_;
};

/// f(task, memory) for every task, each thread with `size` numbers of its own; at least `grain` tasks a thread.
template <class T, class F>
void each_task(Context& context, int64_t tasks, int64_t grain, int64_t size, F&& f) {
  const int count = threads_for(tasks, grain);
  const Tensor memory = context.empty(Shape{count, size}, dtype_of<T>);
  parallel_for(count, 1, [&](int64_t first, int64_t last) {
    for (int64_t worker = first; worker < last; ++worker)
      for (int64_t task = tasks * worker / count; task < tasks * (worker + 1) / count; ++task) f(task, memory.data<T>() + worker * size);
  });
}

}  // namespace alinea
