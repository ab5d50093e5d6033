// The one SIMD header: 64-byte vectors over GCC/Clang vector extensions (16 floats or 8 doubles, split by the compiler on smaller
// machines) with the few functions that the kernels need. g++ does not vectorise std::exp without -ffast-math, which is never used here:
// masks and NaN checks need IEEE. Float exp, log and sigmoid are within 2.5 units in the last place, tanh 3, erf 8; double ones call libm per lane, since
// double serves the checks, not speed.
#pragma once
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

// Marks a kernel that is compiled for several processors and chosen when the program starts. Everything it calls must be inlined
// (vectors cross no function boundary), so put it on the outermost row loop, inside the parallel region.
// The levels x86-64-v3 (AVX2, FMA) and -v4 (AVX-512) are tests of features; a name such as arch=skylake-avx512 would match that model alone.
#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define ALINEA_KERNEL __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4"), noinline))
#else
#define ALINEA_KERNEL __attribute__((noinline))
#endif
#define ALINEA_INLINE [[gnu::always_inline]] inline

namespace alinea {

namespace vec_detail {
template <class T>
struct Type;
template <>
struct Type<float> {
  typedef float vec __attribute__((vector_size(64)));
  typedef int32_t mask __attribute__((vector_size(64)));
};
template <>
struct Type<double> {
  typedef double vec __attribute__((vector_size(64)));
  typedef int64_t mask __attribute__((vector_size(64)));
};
}  // namespace vec_detail

template <class T>
using Vec = typename vec_detail::Type<T>::vec;
template <class T>
using VecMask = typename vec_detail::Type<T>::mask;   // lanes of a comparison: all bits set or none; also integers of the same width
template <class T>
constexpr int64_t lanes = 64 / int64_t(sizeof(T));
template <class V>
concept Vector = std::is_same_v<V, Vec<float>> || std::is_same_v<V, Vec<double>>;
template <Vector V>
using Lane = std::conditional_t<std::is_same_v<V, Vec<float>>, float, double>;

template <class T>
ALINEA_INLINE Vec<T> splat(T x) { return Vec<T>{} + x; }
template <class T>
ALINEA_INLINE Vec<T> load(const T* p) {
  Vec<T> v;
  std::memcpy(&v, p, sizeof v);
  return v;
}
template <Vector V>
ALINEA_INLINE void store(Lane<V>* p, V v) { std::memcpy(p, &v, sizeof v); }
/// The first n elements (n < lanes), the other lanes `fill`.
template <class T>
ALINEA_INLINE Vec<T> load_part(const T* p, int64_t n, T fill = 0) {
  Vec<T> v = splat(fill);
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}
template <Vector V>
ALINEA_INLINE void store_part(Lane<V>* p, V v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
}
template <Vector V>
ALINEA_INLINE V max(V a, V b) { return a > b ? a : b; }
template <Vector V>
ALINEA_INLINE V min(V a, V b) { return a < b ? a : b; }
template <Vector V>
ALINEA_INLINE V abs(V a) { return a < 0 ? -a : a; }

/// Sum and maximum of the lanes, as a fixed tree.
template <Vector V>
ALINEA_INLINE Lane<V> sum(V v) {
  using T = Lane<V>;
  T s[lanes<T>];
  std::memcpy(s, &v, sizeof v);
  for (int64_t w = lanes<T> / 2; w > 0; w /= 2)
    for (int64_t i = 0; i < w; ++i) s[i] += s[i + w];
  return s[0];
}
template <Vector V>
ALINEA_INLINE Lane<V> max_of(V v) {
  using T = Lane<V>;
  T s[lanes<T>];
  std::memcpy(s, &v, sizeof v);
  for (int64_t w = lanes<T> / 2; w > 0; w /= 2)
    for (int64_t i = 0; i < w; ++i) s[i] = s[i] > s[i + w] ? s[i] : s[i + w];
  return s[0];
}

namespace vec_detail {
// x = n ln 2 + r with |r| ≤ ln 2 / 2: e^r, a polynomial of degree 6, and n. For x in -87.3 … 88.7.
struct ExpParts {
  Vec<float> power;
  VecMask<float> n;
};
ALINEA_INLINE ExpParts exp_parts(Vec<float> x) {
  const Vec<float> magic = splat(0x1.8p23f);                 // adding it rounds to an integer in the low bits
  const Vec<float> shifted = x * 1.44269504f + magic, n = shifted - magic;
  Vec<float> r = x - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  Vec<float> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  VecMask<float> bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  return {p * r * r + r + 1.0f, bits - 0x4B400000};
}
/// 2^n, for n in -126 … 127.
ALINEA_INLINE Vec<float> power_of_two(VecMask<float> n) {
  const VecMask<float> bits = (n + 127) << 23;
  Vec<float> y;
  std::memcpy(&y, &bits, sizeof y);
  return y;
}
}  // namespace vec_detail

/// e^x. Results below 1.2e-38 are 0, NaN stays NaN.
ALINEA_INLINE Vec<float> exp(Vec<float> x) {
  const auto [power, n] = vec_detail::exp_parts(min(max(x, splat(-87.33654f)), splat(88.72283f)));
  const VecMask<float> half = n >> 1;                        // 2^n in two halves, so that n = 128 does not overflow before the product does
  Vec<float> y = power * vec_detail::power_of_two(half) * vec_detail::power_of_two(n - half);
  y = x < -87.33654f ? splat(0.0f) : y;
  y = x > 88.72283f ? splat(__builtin_inff()) : y;
  return x != x ? x : y;
}
/// The same for x ≤ 0, where neither overflow nor a scale in two halves is needed.
ALINEA_INLINE Vec<float> exp_nonpositive(Vec<float> x) {
  const auto [power, n] = vec_detail::exp_parts(max(splat(-87.33654f), x));   // NaN passes: the comparison is false
  const Vec<float> y = power * vec_detail::power_of_two(n);
  return x < -87.33654f ? splat(0.0f) : y;
}

/// erf x. Float: x P(x²)/Q(x²) on |x| ≤ 4, where erf is 1 to float accuracy beyond.
ALINEA_INLINE Vec<float> erf(Vec<float> x) {
  const Vec<float> t = min(max(x, splat(-4.0f)), splat(4.0f)), s = t * t;
  Vec<float> p = s * -2.72614225801306e-10f + 2.77068142495902e-08f;
  p = p * s + -2.10102402082508e-06f;
  p = p * s + -5.69250639462346e-05f;
  p = p * s + -7.34990630326855e-04f;
  p = p * s + -2.95459980854025e-03f;
  p = p * s + -1.60960333262415e-02f;
  Vec<float> q = s * -1.45660718464996e-05f + -2.13374055278905e-04f;
  q = q * s + -1.68282697438203e-03f;
  q = q * s + -7.37332916720468e-03f;
  q = q * s + -1.42647390514189e-02f;
  const Vec<float> y = t * p / q;
  return x != x ? x : y;
}

/// tanh x. Float: odd polynomial below 0.65 (fitted for the least relative error), 1 - 2/(e^{2x} + 1) above.
ALINEA_INLINE Vec<float> tanh(Vec<float> x) {
  const Vec<float> s = x * x;
  Vec<float> small = s * -5.515154451e-3f + 2.046941034e-2f;
  small = small * s + -5.368801952e-2f;
  small = small * s + 1.333083063e-1f;
  small = small * s + -3.333325982e-1f;
  small = x + x * s * small;
  const Vec<float> large = 1.0f - 2.0f / (exp(x + x) + 1.0f);
  return abs(x) < 0.65f ? small : large;
}

template <double (*F)(double)>
ALINEA_INLINE Vec<double> each_lane(Vec<double> x) {
  Vec<double> y{};
  for (int i = 0; i < lanes<double>; ++i) y[i] = F(x[i]);
  return y;
}
ALINEA_INLINE Vec<double> exp(Vec<double> x) { return each_lane<std::exp>(x); }
ALINEA_INLINE Vec<double> exp_nonpositive(Vec<double> x) { return exp(x); }
ALINEA_INLINE Vec<double> erf(Vec<double> x) { return each_lane<std::erf>(x); }
ALINEA_INLINE Vec<double> tanh(Vec<double> x) { return each_lane<std::tanh>(x); }

/// σ(x) = 1 / (1 + e^{-x}).
template <Vector V>
ALINEA_INLINE V sigmoid(V x) { return Lane<V>(1) / (Lane<V>(1) + exp(-x)); }

/// Natural logarithm, per lane (only losses need it, never an inner loop).
ALINEA_INLINE Vec<double> log(Vec<double> x) { return each_lane<std::log>(x); }
ALINEA_INLINE Vec<float> log(Vec<float> x) {
  for (int i = 0; i < lanes<float>; ++i) x[i] = std::log(x[i]);
  return x;
}

}  // namespace alinea
