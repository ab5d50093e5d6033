// The text of a Hugging Face config.json: our keys over those of the file that the model was opened with, whose others stay.
#pragma once
#include <string>

#include "engine/core/config.h"
#include "engine/core/dtype.h"

namespace alinea {

/// dtype: of the weights beside it.
std::string merged_config(const JsonText& origin, const Config& own, DType dtype);

}  // namespace alinea
