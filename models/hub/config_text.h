// The text of a Hugging Face config.json: read with complaints that name it; written with our keys over those of the file that the model was
// opened with, whose others stay.
#pragma once
#include <filesystem>
#include <string>

#include "engine/core/config.h"
#include "engine/core/dtype.h"
#include "engine/core/error.h"

namespace alinea {

/// dtype: of the weights beside it.
std::string merged_config(const JsonText& origin, const Config& own, DType dtype);

/// f(), which reads and checks settings that stand in `file`. What f() calls a wrong setting is then a bad file: Error{data}, with its name.
template <class F>
auto of_file(const std::filesystem::path& file, F f) {
  try {
    return f();
  } catch (const Error& e) {
    if (e.kind() != Exit::usage) throw;
    const std::string message = e.what(), name = file.string();
    fail(Exit::data, "{}{}", message.find(name) == std::string::npos ? name + ": " : "", message);
  }
}

}  // namespace alinea
