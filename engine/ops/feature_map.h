// Feature maps φ of linear attention: what makes a similarity a product of two vectors. Each map lifts a row x [D] to φ [M] and takes a
// gradient back. Used tile by tile inside linear attention; nothing of size M is kept.
#pragma once
#include <vector>

#include "engine/core/random.h"
#include "engine/core/tensor.h"

namespace alinea {

/// relu        φ = max(x, 0)                                                                M = D      Kasai et al. 2021; modular linearised attention 2023
/// elu         φ = x + 1 for x > 0, eˣ otherwise                                            M = D      Katharopoulos et al. 2020
/// cosformer   φ = [r cos θ, r sin θ], r = max(x, 0), θ = π/2 · min(position / extent, 1)   M = 2D     Qin et al. 2022; positions count from 1
///             so that φ(q_i)·φ(k_j) = r_i·r_j cos(θ_i − θ_j). Past the extent the angle stays at π/2: no weight becomes negative.
/// favor       φ_r = (e^{w_r·x' − |x'|²/2 − c} + 1e-4) / √M, x' = x D^{-1/4}, rows w_r random          Choromanski et al. 2021 (FAVOR+)
///             c = max_r w_r·x' − |x'|²/2 of the row for queries (it cancels in the quotient), 0 for keys (a maximum over keys would look ahead)
enum class FeatureMap { relu, elu, cosformer, favor };

FeatureMap feature_map_named(std::string_view name);
std::string_view name_of(FeatureMap map);

enum class FeatureSide { query, key };

/// cos θ and sin θ of one position.
template <class T>
struct Angle {
  T cos, sin;
};
/// Angles of positions first + 1 … first + n, measured against `extent`.
template <class T>
std::vector<Angle<T>> position_angles(int64_t first, int64_t n, double extent);

/// projection: favor's rows w [M, D] (f32 or f64), none for the other maps.
int64_t feature_count(FeatureMap map, int64_t width, const Tensor& projection);

/// Block-orthogonal Gaussian rows [features, width] in f64: directions orthogonal within blocks of `width`, lengths as independent Gaussians'.
Tensor favor_projection(Context& context, int64_t features, int64_t width, RandomKey key);

template <class T>
class FeatureLift {
 public:
  FeatureLift(FeatureMap map, int64_t width, const Tensor& projection);
  int64_t features() const { return features_; }

  /// to [rows -> whole fours, whole_vectors(M)] = factor · φ(x), zeros beyond. angles: one per row (cosformer).
  void lift(FeatureSide side, const T* x, int64_t step, int64_t rows, const Angle<T>* angles, T factor, T* to) const;
  /// dx from g = dL/d(factor φ), rows whole_vectors(M) apart; phi: what lift gave.
  void unlift(FeatureSide side, const T* g, const T* phi, const T* x, int64_t step, int64_t rows, const Angle<T>* angles, T factor, T* dx, int64_t dx_step) const;

 private:
  FeatureMap map_;
  int64_t width_, features_;
  std::vector<T> rows_;                                     // favor: w [M, whole_vectors(D)], padded with zeros
};

}  // namespace alinea
