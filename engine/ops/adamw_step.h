// One step of AdamW as its kernels take it, on the CPU and on the GPU.
#pragma once
#include <cmath>

#include "engine/ops/adamw.h"

namespace alinea {

// The numbers of one step, the same for every element.
template <class T>
struct AdamWStep {
  T keep, penalty, rest1, beta2, rest2, rate, inverse_root2, eps;
};

template <class T>
AdamWStep<T> step_of(const AdamW& o) {
  require(o.step >= 1, "adamw: step is {}, the first step is 1", o.step);
  require(o.beta1 >= 0 && o.beta1 < 1 && o.beta2 >= 0 && o.beta2 < 1 && o.eps >= 0, "adamw: beta1 {}, beta2 {} must lie in 0 ... 1 (1 excluded), eps {} not below 0",
          o.beta1, o.beta2, o.eps);
  return {.keep = T(o.decoupled ? 1 - o.lr * o.weight_decay : 1.0),
          .penalty = T(o.decoupled ? 0.0 : o.weight_decay),
          .rest1 = T(1 - o.beta1),
          .beta2 = T(o.beta2),
          .rest2 = T(1 - o.beta2),
          .rate = T(o.lr / (1 - std::pow(o.beta1, double(o.step)))),
          .inverse_root2 = T(1 / std::sqrt(1 - std::pow(o.beta2, double(o.step)))),
          .eps = T(o.eps)};
}

template <class T>
struct AdamWBuffers {
  const T *p, *g, *m, *v;
  T *new_p, *new_m, *new_v;                                 // may be p, m, v
  const T* grad_scale = nullptr;                            // null: 1
};

}  // namespace alinea
