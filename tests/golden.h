// Where the reference files of the tests lie; test programs run from the root of the source tree.
#pragma once
#include <string>
#include <string_view>

namespace alinea {
inline std::string golden(std::string_view file) { return "tests/golden/" + std::string(file); }
}  // namespace alinea
