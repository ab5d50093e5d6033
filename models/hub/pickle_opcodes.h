// The names of pickle's opcodes, for messages about those that are refused.
#pragma once
#include <cstdint>
#include <string>

namespace alinea {

/// "GLOBAL", or "0xFF" for a byte that is no opcode.
std::string name_of_opcode(uint8_t opcode);

}  // namespace alinea
