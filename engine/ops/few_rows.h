// Products of few rows with a weight matrix, as a decoder makes them at every step: as fast as memory gives the weights.
#pragma once
#include "engine/ops/matmul.h"

namespace alinea {

/// Up to here reading the weights decides, and a product that packs them first loses.
constexpr int64_t most_few_rows = 16;

/// y = act(x Wᵀ + b).   x [..., C], few rows  W [O, C]  b [O] or none  ->  y [..., O]   No gradient.
/// x and b are f32 or f64, W is the same or bf16 (with f32: each weight is widened, arithmetic is f32). Every weight is read from memory once
/// for all rows; threads share the outputs; a sum has the same order for any number of threads and rows.
Tensor few_rows_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation);

/// The values of bf16 numbers as f32, the nearest they have.
void widen(const bf16* from, float* to, int64_t n);

}  // namespace alinea
