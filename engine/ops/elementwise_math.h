// The elementwise functions: one struct each, `value` and `slope`, generic over a number and a vector of numbers, so that one loop
// on the CPU and one kernel on the GPU serve them all. `slope` takes what the struct says it keeps: the input x or the output y.
#pragma once
#ifdef __CUDACC__   // a GPU thread computes one element: numbers only
#include <cmath>
#define ALINEA_INLINE __host__ __device__ __forceinline__
#else
#include "engine/core/vec.h"
#endif

namespace alinea::math {

using std::erf, std::exp, std::log, std::tanh;               // numbers
#ifndef __CUDACC__
using alinea::erf, alinea::exp, alinea::log, alinea::tanh;   // vectors
#endif

enum class Keep { neither, input, output };

namespace detail {
template <class V>
struct ElementOf { using type = V; };
#ifndef __CUDACC__
template <Vector V>
struct ElementOf<V> { using type = Lane<V>; };
#endif
}  // namespace detail
template <class V>
using Element = typename detail::ElementOf<V>::type;

/// max(x, 0); NaN stays NaN. Slope 1 where y > 0.
struct Relu {
  static constexpr Keep keep = Keep::output;
  template <class V>
  ALINEA_INLINE V value(V x) const { return x < Element<V>(0) ? V{} : x; }
  template <class V>
  ALINEA_INLINE V slope(V y) const { return y > Element<V>(0) ? V{} + Element<V>(1) : V{}; }
};

/// x Φ(x), Φ(x) = (1 + erf(x/√2)) / 2 (Hendrycks & Gimpel 2016, the exact form). Slope Φ(x) + x φ(x).
struct Gelu {
  static constexpr Keep keep = Keep::input;
  template <class V>
  ALINEA_INLINE static V cdf(V x) { return Element<V>(0.5) + Element<V>(0.5) * erf(x * Element<V>(0.70710678118654752)); }
  template <class V>
  ALINEA_INLINE V value(V x) const { return x * cdf(x); }
  template <class V>
  ALINEA_INLINE V slope(V x) const { return cdf(x) + x * Element<V>(0.39894228040143268) * exp(x * x * Element<V>(-0.5)); }
};

/// σ(x) = 1 / (1 + e^{-x}). Slope y (1 - y).
struct Sigmoid {
  static constexpr Keep keep = Keep::output;
  template <class V>
  ALINEA_INLINE V value(V x) const { return Element<V>(1) / (Element<V>(1) + exp(-x)); }
  template <class V>
  ALINEA_INLINE V slope(V y) const { return y * (Element<V>(1) - y); }
};

/// x σ(x). Slope σ (1 + x (1 - σ)).
struct Silu {
  static constexpr Keep keep = Keep::input;
  template <class V>
  ALINEA_INLINE V value(V x) const { return x * Sigmoid{}.value(x); }
  template <class V>
  ALINEA_INLINE V slope(V x) const {
    const V s = Sigmoid{}.value(x);
    return s * (Element<V>(1) + x * (Element<V>(1) - s));
  }
};

/// Slope 1 - y².
struct Tanh {
  static constexpr Keep keep = Keep::output;
  template <class V>
  ALINEA_INLINE V value(V x) const { return tanh(x); }
  template <class V>
  ALINEA_INLINE V slope(V y) const { return Element<V>(1) - y * y; }
};

/// e^x. Slope y.
struct Exp {
  static constexpr Keep keep = Keep::output;
  template <class V>
  ALINEA_INLINE V value(V x) const { return exp(x); }
  template <class V>
  ALINEA_INLINE V slope(V y) const { return y; }
};

/// Natural logarithm. Slope 1/x.
struct Log {
  static constexpr Keep keep = Keep::input;
  template <class V>
  ALINEA_INLINE V value(V x) const { return log(x); }
  template <class V>
  ALINEA_INLINE V slope(V x) const { return Element<V>(1) / x; }
};

/// factor · x.
struct Scale {
  static constexpr Keep keep = Keep::neither;
  double factor = 1;
  template <class V>
  ALINEA_INLINE V value(V x) const { return x * Element<V>(factor); }
  template <class V>
  ALINEA_INLINE V slope(V) const { return V{} + Element<V>(factor); }
};

/// x + term. Slope 1: backward passes g on untouched.
struct AddScalar {
  static constexpr Keep keep = Keep::neither;
  double term = 0;
  template <class V>
  ALINEA_INLINE V value(V x) const { return x + Element<V>(term); }
  template <class V>
  ALINEA_INLINE V slope(V) const { return V{} + Element<V>(1); }
};

// Two inputs: value(a, b), and da, db from g and the inputs. da reads b; db reads a, and b where it says so. Sums keep none.

struct Add {
  static constexpr bool keeps = false;
  template <class V>
  ALINEA_INLINE V value(V a, V b) const { return a + b; }
};
struct Sub {
  static constexpr bool keeps = false;
  template <class V>
  ALINEA_INLINE V value(V a, V b) const { return a - b; }
};
/// da = g b, db = g a.
struct Mul {
  static constexpr bool keeps = true, db_reads_b = false;
  template <class V>
  ALINEA_INLINE V value(V a, V b) const { return a * b; }
  template <class V>
  ALINEA_INLINE V da(V g, V b) const { return g * b; }
  template <class V>
  ALINEA_INLINE V db(V g, V a, V) const { return g * a; }
};
/// da = g / b, db = -g a / b².
struct Div {
  static constexpr bool keeps = true, db_reads_b = true;
  template <class V>
  ALINEA_INLINE V value(V a, V b) const { return a / b; }
  template <class V>
  ALINEA_INLINE V da(V g, V b) const { return g / b; }
  template <class V>
  ALINEA_INLINE V db(V g, V a, V b) const { return -(g / b) * (a / b); }
};

}  // namespace alinea::math
