#include "engine/ops/feature_map.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "engine/blas/tile.h"
#include "engine/core/random.h"
#include "engine/ops/softmax_tile.h"

namespace alinea {

namespace {

constexpr std::pair<FeatureMap, std::string_view> names[] = {
    {FeatureMap::relu, "relu"}, {FeatureMap::elu, "elu"}, {FeatureMap::cosformer, "cosformer"}, {FeatureMap::favor, "favor"}};
constexpr double favor_floor = 1e-4;

struct Relu {
  template <Vector V>
  ALINEA_INLINE static V value(V x) { return x < 0 ? V{} : x; }             // NaN passes
  template <Vector V>
  ALINEA_INLINE static V slope(V x) { return x > 0 ? V{} + 1 : V{}; }
};
struct EluPlusOne {
  template <Vector V>
  ALINEA_INLINE static V value(V x) { return x > 0 ? x + 1 : exp(min(V{}, x)); }
  template <Vector V>
  ALINEA_INLINE static V slope(V x) { return x > 0 ? V{} + 1 : exp(min(x, V{})); }
};

template <class T, class Map>
ALINEA_KERNEL void map_rows(const T* x, int64_t step, int64_t rows, int64_t width, T factor, T* to, int64_t ld) {
  for (int64_t r = 0; r < rows; ++r, x += step, to += ld) {
    int64_t d = 0;
    for (; d + lanes<T> <= width; d += lanes<T>) store(to + d, Map::value(load(x + d)) * factor);
    if (d < width) store_part(to + d, Map::value(load_part(x + d, width - d)) * factor, width - d);
    for (d = width; d < ld; ++d) to[d] = 0;
  }
}
// dx = factor · g φ'(x)
template <class T, class Map>
ALINEA_KERNEL void slope_rows(const T* g, int64_t g_step, const T* x, int64_t x_step, int64_t rows, int64_t width, T factor, T* dx, int64_t dx_step) {
  for (int64_t r = 0; r < rows; ++r, g += g_step, x += x_step, dx += dx_step) {
    int64_t d = 0;
    for (; d + lanes<T> <= width; d += lanes<T>) store(dx + d, load(g + d) * Map::slope(load(x + d)) * factor);
    if (d < width) store_part(dx + d, load_part(g + d, width - d) * Map::slope(load_part(x + d, width - d)) * factor, width - d);
  }
}

template <class T>
ALINEA_KERNEL void rotate_rows(const T* x, int64_t step, int64_t rows, int64_t width, const Angle<T>* angles, T factor, T* to, int64_t ld) {
  for (int64_t r = 0; r < rows; ++r, x += step, to += ld) {
    const T c = angles[r].cos * factor, s = angles[r].sin * factor;
    int64_t d = 0;
    for (; d + lanes<T> <= width; d += lanes<T>) {
      const Vec<T> v = Relu::value(load(x + d));
      store(to + d, v * c);
      store(to + width + d, v * s);
    }
    for (; d < width; ++d) {
      const T v = x[d] < 0 ? T(0) : x[d];
      to[d] = v * c, to[width + d] = v * s;
    }
    for (d = 2 * width; d < ld; ++d) to[d] = 0;
  }
}
template <class T>
ALINEA_KERNEL void unrotate_rows(const T* g, int64_t g_step, const T* x, int64_t x_step, int64_t rows, int64_t width, const Angle<T>* angles, T factor, T* dx,
                                 int64_t dx_step) {
  for (int64_t r = 0; r < rows; ++r, g += g_step, x += x_step, dx += dx_step) {
    const T c = angles[r].cos * factor, s = angles[r].sin * factor;
    int64_t d = 0;
    for (; d + lanes<T> <= width; d += lanes<T>) store(dx + d, (load(g + d) * c + load(g + width + d) * s) * Relu::slope(load(x + d)));
    for (; d < width; ++d) dx[d] = x[d] > 0 ? g[d] * c + g[width + d] * s : T(0);
  }
}

// to = factor (e^{s − shift} + floor)
template <class T>
ALINEA_KERNEL void exponentials(const T* s, int64_t n, T shift, T factor, T floor, T* to) {
  int64_t r = 0;
  for (; r + lanes<T> <= n; r += lanes<T>) store(to + r, (exp(load(s + r) - shift) + floor) * factor);
  if (r < n) store_part(to + r, (exp(load_part(s + r, n - r) - shift) + floor) * factor, n - r);
}
// to += Σ_r a_r w_r
template <class T>
ALINEA_KERNEL void add_rows(const T* a, const T* w, int64_t ld, int64_t rows, T* to) {
  for (int64_t r = 0; r < rows; ++r, w += ld)
    for (int64_t d = 0; d < ld; d += lanes<T>) store(to + d, load(to + d) + a[r] * load(w + d));
}

}  // namespace

FeatureMap feature_map_named(std::string_view name) {
  for (const auto& [map, known] : names)
    if (name == known) return map;
  fail(Exit::usage, "linear attention: feature map '{}' is not one of relu, elu, cosformer, favor", name);
}

std::string_view name_of(FeatureMap map) { return names[size_t(map)].second; }

template <class T>
std::vector<Angle<T>> position_angles(int64_t first, int64_t n, double extent) {
  std::vector<Angle<T>> angles(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    const double theta = std::numbers::pi / 2 * std::min(double(first + i + 1) / extent, 1.0);
    angles[size_t(i)] = {T(std::cos(theta)), T(std::sin(theta))};
  }
  return angles;
}

int64_t feature_count(FeatureMap map, int64_t width, const Tensor& projection) {
  if (map == FeatureMap::favor) {
    require(projection && projection.rank() == 2 && projection.size(1) == width, "linear attention: favor needs a projection [features, {}], it has {}", width,
            projection ? fmt::format("{}", projection.shape()) : "none");
    return projection.size(0);
  }
  return map == FeatureMap::cosformer ? 2 * width : width;
}

Tensor favor_projection(Context& context, int64_t features, int64_t width, RandomKey key) {
  require(features > 0 && width > 0, "favor: {} features of width {}; both must be positive", features, width);
  Draw draw(key);
  std::vector<double> rows(size_t(features * width)), lengths(size_t(features), 0.0);
  for (double& x : rows) x = draw.normal();
  for (double& length : lengths) {
    for (int64_t d = 0; d < width; ++d) length += std::pow(draw.normal(), 2);
  }
  for (int64_t r = 0; r < features; ++r) {
    const auto row = [&](int64_t i) { return rows.data() + i * width; };
    for (int64_t before = r / width * width; before < r; ++before) {   // Gram-Schmidt within the block, on unit rows
      const double dot = std::inner_product(row(r), row(r) + width, row(before), 0.0);
      for (int64_t d = 0; d < width; ++d) row(r)[d] -= dot * row(before)[d];
    }
    const double norm = std::sqrt(std::inner_product(row(r), row(r) + width, row(r), 0.0));
    for (int64_t d = 0; d < width; ++d) row(r)[d] /= norm;
  }
  for (int64_t r = 0; r < features; ++r)
    for (int64_t d = 0; d < width; ++d) rows[size_t(r * width + d)] *= std::sqrt(lengths[size_t(r)]);
  return context.from(rows.data(), {features, width});
}

template <class T>
FeatureLift<T>::FeatureLift(FeatureMap map, int64_t width, const Tensor& projection) : map_(map), width_(width), features_(feature_count(map, width, projection)) {
  if (map != FeatureMap::favor) return;
  const int64_t ld = whole_vectors<T>(width);
  const auto values = projection.values<double>();
  rows_.assign(size_t(features_ * ld), T(0));
  for (int64_t r = 0; r < features_; ++r)
    for (int64_t d = 0; d < width; ++d) rows_[size_t(r * ld + d)] = T(values[size_t(r * width + d)]);
}

template <class T>
void FeatureLift<T>::lift(FeatureSide side, const T* x, int64_t step, int64_t rows, const Angle<T>* angles, T factor, T* to) const {
  const int64_t ld = whole_vectors<T>(features_), D = width_;
  std::fill(to + rows * ld, to + whole_fours(rows) * ld, T(0));
  switch (map_) {
    case FeatureMap::relu: return map_rows<T, Relu>(x, step, rows, D, factor, to, ld);
    case FeatureMap::elu: return map_rows<T, EluPlusOne>(x, step, rows, D, factor, to, ld);
    case FeatureMap::cosformer: return rotate_rows(x, step, rows, D, angles, factor, to, ld);
    case FeatureMap::favor: break;
  }
  const int64_t wide = whole_vectors<T>(D);
  std::vector<T> row(size_t(wide), T(0)), dots(static_cast<size_t>(features_));
  const T shrink = T(std::pow(double(D), -0.25)), norm = factor / T(std::sqrt(double(features_)));
  for (int64_t r = 0; r < rows; ++r, to += ld) {
    scale_rows(x + r * step, step, 1, D, shrink, row.data(), wide);
    T square;
    row_products(row.data(), wide, row.data(), wide, 1, D, &square);
    row_products<T>(rows_.data(), wide, row.data(), 0, features_, D, dots.data());
    const T shift = side == FeatureSide::query ? *std::max_element(dots.begin(), dots.end()) : square / 2;
    exponentials(dots.data(), features_, shift, norm, T(favor_floor), to);
    std::fill(to + features_, to + ld, T(0));
  }
}

template <class T>
void FeatureLift<T>::unlift(FeatureSide side, const T* g, const T* phi, const T* x, int64_t step, int64_t rows, const Angle<T>* angles, T factor, T* dx,
                            int64_t dx_step) const {
  const int64_t ld = whole_vectors<T>(features_), D = width_;
  switch (map_) {
    case FeatureMap::relu: return slope_rows<T, Relu>(g, ld, x, step, rows, D, factor, dx, dx_step);
    case FeatureMap::elu: return slope_rows<T, EluPlusOne>(g, ld, x, step, rows, D, factor, dx, dx_step);
    case FeatureMap::cosformer: return unrotate_rows(g, ld, x, step, rows, D, angles, factor, dx, dx_step);
    case FeatureMap::favor: break;
  }
  // With a_r = g_r (φ_r − floor): dx' = Σ a_r (w_r − x') for keys, Σ a_r (w_r − w_most) for queries.
  const int64_t wide = whole_vectors<T>(D);
  const T shrink = T(std::pow(double(D), -0.25)), floor = factor * T(favor_floor) / T(std::sqrt(double(features_)));
  std::vector<T> slopes(static_cast<size_t>(features_)), out(static_cast<size_t>(wide));
  for (int64_t r = 0; r < rows; ++r, g += ld, phi += ld) {
    T total = 0;
    for (int64_t f = 0; f < features_; ++f) total += slopes[size_t(f)] = g[f] * (phi[f] - floor);
    const T* centre = x + r * step;
    T centre_scale = shrink;
    if (side == FeatureSide::query) centre = rows_.data() + (std::max_element(phi, phi + features_) - phi) * wide, centre_scale = 1;
    std::fill(out.begin(), out.end(), T(0));
    add_rows(slopes.data(), rows_.data(), wide, features_, out.data());
    for (int64_t d = 0; d < D; ++d) dx[r * dx_step + d] = shrink * (out[size_t(d)] - total * centre_scale * centre[d]);
  }
}

template std::vector<Angle<float>> position_angles(int64_t, int64_t, double);
template std::vector<Angle<double>> position_angles(int64_t, int64_t, double);
template class FeatureLift<float>;
template class FeatureLift<double>;

}  // namespace alinea
