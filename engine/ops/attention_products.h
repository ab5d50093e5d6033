// The two matrix products around a family that forms its weights explicitly, per head and on strided views, so that splitting and
// merging heads copies nothing.   D is contiguous in q, k, v; contexts and the gradients of q, k, v lie in [B, T, H, D] memory.
#pragma once
#include "engine/ops/op.h"

namespace alinea {

/// u = scale · q kᵀ.   q [B,H,T,D]  k [B,H,S,D] -> u [B,H,T,S];   dq = scale · g k,  dk = scale · gᵀ q
struct AttentionScores {
  double scale = 1;
  struct Saved {
    Needs<2> needs;
    Tensor q, k;
  };
  Tensor forward(const Tensor& q, const Tensor& k, Saved* kept) const;
  Grads<2> backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const;
};

/// y = w v.   w [B,H,T,S]  v [B,H,S,D] -> y [B,H,T,D] (a view of [B,T,H,D] memory);   dw = g vᵀ,  dv = wᵀ g
struct AttentionContext {
  struct Saved {
    Needs<2> needs;
    Tensor w, v;
  };
  Tensor forward(const Tensor& w, const Tensor& v, Saved* kept) const;
  Grads<2> backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const;
};

}  // namespace alinea
