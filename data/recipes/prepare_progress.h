// How a recipe tells what it has done.
#pragma once
#include <cstdint>
#include <functional>

namespace alinea {

/// Utterances done and in all.
using PrepareProgress = std::function<void(int64_t done, int64_t total)>;

}  // namespace alinea
