// How a loss sums over its items.
#pragma once

namespace alinea {

enum class Reduction { none, mean, sum };

}  // namespace alinea
