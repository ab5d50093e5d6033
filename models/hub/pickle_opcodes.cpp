#include "models/hub/pickle_opcodes.h"

#include <fmt/core.h>

#include <array>
#include <string_view>

namespace alinea {

namespace {

struct Opcode {
  uint8_t code;
  std::string_view name;
};

constexpr std::array opcodes{
    Opcode{'(', "MARK"}, Opcode{')', "EMPTY_TUPLE"}, Opcode{'.', "STOP"}, Opcode{'0', "POP"}, Opcode{'1', "POP_MARK"}, Opcode{'2', "DUP"},
    Opcode{'B', "BINBYTES"}, Opcode{'C', "SHORT_BINBYTES"}, Opcode{'F', "FLOAT"}, Opcode{'G', "BINFLOAT"}, Opcode{'I', "INT"},
    Opcode{'J', "BININT"}, Opcode{'K', "BININT1"}, Opcode{'L', "LONG"}, Opcode{'M', "BININT2"}, Opcode{'N', "NONE"}, Opcode{'P', "PERSID"},
    Opcode{'Q', "BINPERSID"}, Opcode{'R', "REDUCE"}, Opcode{'S', "STRING"}, Opcode{'T', "BINSTRING"}, Opcode{'U', "SHORT_BINSTRING"},
    Opcode{'V', "UNICODE"}, Opcode{'X', "BINUNICODE"}, Opcode{']', "EMPTY_LIST"}, Opcode{'a', "APPEND"}, Opcode{'b', "BUILD"},
    Opcode{'c', "GLOBAL"}, Opcode{'d', "DICT"}, Opcode{'e', "APPENDS"}, Opcode{'g', "GET"}, Opcode{'h', "BINGET"}, Opcode{'i', "INST"},
    Opcode{'j', "LONG_BINGET"}, Opcode{'l', "LIST"}, Opcode{'o', "OBJ"}, Opcode{'p', "PUT"}, Opcode{'q', "BINPUT"},
    Opcode{'r', "LONG_BINPUT"}, Opcode{'s', "SETITEM"}, Opcode{'t', "TUPLE"}, Opcode{'u', "SETITEMS"}, Opcode{'}', "EMPTY_DICT"},
    Opcode{0x80, "PROTO"}, Opcode{0x81, "NEWOBJ"}, Opcode{0x82, "EXT1"}, Opcode{0x83, "EXT2"}, Opcode{0x84, "EXT4"},
    Opcode{0x85, "TUPLE1"}, Opcode{0x86, "TUPLE2"}, Opcode{0x87, "TUPLE3"}, Opcode{0x88, "NEWTRUE"}, Opcode{0x89, "NEWFALSE"},
    Opcode{0x8A, "LONG1"}, Opcode{0x8B, "LONG4"}, Opcode{0x8C, "SHORT_BINUNICODE"}, Opcode{0x8D, "BINUNICODE8"}, Opcode{0x8E, "BINBYTES8"},
    Opcode{0x8F, "EMPTY_SET"}, Opcode{0x90, "ADDITEMS"}, Opcode{0x91, "FROZENSET"}, Opcode{0x92, "NEWOBJ_EX"},
    Opcode{0x93, "STACK_GLOBAL"}, Opcode{0x94, "MEMOIZE"}, Opcode{0x95, "FRAME"}, Opcode{0x96, "BYTEARRAY8"}, Opcode{0x97, "NEXT_BUFFER"},
    Opcode{0x98, "READONLY_BUFFER"},
};

}  // namespace

std::string name_of_opcode(uint8_t opcode) {
  for (const Opcode& o : opcodes)
    if (o.code == opcode) return std::string(o.name);
  return fmt::format("0x{:02X}", opcode);
}

}  // namespace alinea
