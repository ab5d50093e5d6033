// The op table as files see it: named tensors in, outputs and gradients out.
#pragma once
#include <string>
#include <vector>

#include "autograd/op_table.h"
#include "models/hub/safetensors.h"

namespace alinea {

/// The table of autograd, and the rows that only the program can add: log_mel, whose features come from data.
const OpTable& program_ops();

/// Inputs are named as in the row; a tensor `grad.<output>` is the gradient of that output. Returns the outputs and, if some gradient was
/// given, `grad.<input>` of every differentiable input (zeros where the outputs do not depend on it). Floating inputs are converted to
/// `dtype` (f32 or f64). Errors: usage or data, with the row in the message.
NamedTensors call_op(const OpRow& row, const NamedTensors& inputs, const std::map<std::string, std::string>& attributes, DType dtype);

}  // namespace alinea
