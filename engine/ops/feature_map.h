// The feature maps of linear attention, for its kernels.
#pragma once
#include "engine/core/vec.h"
#include "engine/ops/linear_attention.h"

namespace alinea {

/// A feature map: φ and φ', from x.
struct ReluMap {
  template <Vector V>
  ALINEA_INLINE static V value(V x) { return x > 0 ? x : V{}; }
  template <Vector V>
  ALINEA_INLINE static V slope(V x) { return x > 0 ? V{} + 1 : V{}; }
};

/// f(map) for the chosen map.
template <class F>
void with_map(FeatureMap map, F&& f) {
  switch (map) {
    case FeatureMap::relu: return f(ReluMap{});
  }
}

}  // namespace alinea
