#include "engine/ops/attention_products.h"

#include "engine/blas/gemm.h"
#include "engine/core/device.h"
#include "engine/core/parallel.h"

namespace alinea {

namespace {

Tensor heads_view(Context& context, int64_t B, int64_t H, int64_t T, int64_t D, DType dtype) {
  return context.empty({B, T, H, D}, dtype).permute({0, 2, 1, 3});
}

// c[b,h] = alpha · op(a[b,h]) op(b[b,h]), every matrix a strided view with contiguous rows.
void product(const Tensor& a, bool ta, const Tensor& b, bool tb, const Tensor& c, double alpha) {
  const int64_t B = c.size(0), H = c.size(1), m = c.size(2), n = c.size(3), k = a.size(ta ? 2 : 3);
  for (const Tensor* t : {&a, &b, &c}) require(t->stride(3) == 1 || t->size(3) <= 1, "attention: the rows of {} are not contiguous", t->shape());
  const Gemm one{.transpose_a = ta, .transpose_b = tb, .m = m, .n = n, .k = k, .lda = a.stride(2), .ldb = b.stride(2), .ldc = c.stride(2), .alpha = alpha};
  with_float(c.dtype(), "attention", [&]<class T>() {
    auto at = [](const Tensor& t, int64_t item, int64_t head) { return t.strided<T>() + item * t.stride(0) + head * t.stride(1); };
    auto on_cpu = [&] {
      parallel_for(B * H, std::max<int64_t>(1, int64_t(50000 / std::max<int64_t>(1, m * n * k))), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) gemm(c.context(), one, at(a, i / H, i % H), at(b, i / H, i % H), at(c, i / H, i % H));
      });
    };
    on_device(c, on_cpu, [&] {                               // the heads of an item in one call
      Gemm heads = one;
      heads.batch = H, heads.step_a = a.stride(1), heads.step_b = b.stride(1), heads.step_c = c.stride(1);
      for (int64_t i = 0; i < B; ++i) gemm(c.context(), heads, at(a, i, 0), at(b, i, 0), at(c, i, 0));
    });
  });
}

void same_batch(const char* op, const Tensor& a, const Tensor& b, int axis_a, int axis_b) {
  require(a.rank() == 4 && b.rank() == 4 && a.size(0) == b.size(0) && a.size(1) == b.size(1) && a.size(axis_a) == b.size(axis_b) && a.dtype() == b.dtype(),
          "{}: {} {} and {} {} do not fit; batch, heads and the inner axis must be equal", op, a.dtype(), a.shape(), b.dtype(), b.shape());
  same_device(op, a, b);
}

}  // namespace

Tensor AttentionScores::forward(const Tensor& q, const Tensor& k, Saved* kept) const {
  same_batch("attention_scores", q, k, 3, 3);
  const Tensor u = q.context().empty({q.size(0), q.size(1), q.size(2), k.size(2)}, q.dtype());
  product(q, false, k, true, u, scale);
  if (kept) {
    if (kept->needs[1]) kept->q = q;
    if (kept->needs[0]) kept->k = k;
  }
  return u;
}

Grads<2> AttentionScores::backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const {
  g = g.compact();
  const int64_t B = g.size(0), H = g.size(1), T = g.size(2), S = g.size(3), D = (kept.q ? kept.q : kept.k).size(3);
  Grads<2> d;
  if (need[0]) product(g, false, kept.k, false, d[0] = heads_view(g.context(), B, H, T, D, g.dtype()), scale);
  if (need[1]) product(g, true, kept.q, false, d[1] = heads_view(g.context(), B, H, S, D, g.dtype()), scale);
  return d;
}

Tensor AttentionContext::forward(const Tensor& w, const Tensor& v, Saved* kept) const {
  same_batch("attention_context", w, v, 3, 2);
  const Tensor y = heads_view(w.context(), w.size(0), w.size(1), w.size(2), v.size(3), w.dtype());
  product(w, false, v, false, y, 1);
  if (kept) {
    if (kept->needs[1]) kept->w = w;
    if (kept->needs[0]) kept->v = v;
  }
  return y;
}

Grads<2> AttentionContext::backward(Saved&& kept, Tensor&& g, const Needs<2>& need) const {
  Grads<2> d;
  if (g.stride(3) != 1) g = g.compact();
  if (need[0]) product(g, false, kept.v, true, d[0] = g.context().empty({g.size(0), g.size(1), g.size(2), kept.v.size(2)}, g.dtype()), 1);
  if (need[1]) product(kept.w, true, g, false, d[1] = heads_view(g.context(), g.size(0), g.size(1), kept.w.size(3), g.size(3), g.dtype()), 1);
  return d;
}

}  // namespace alinea
