// Files of weights made by hand, damage included, for the tests of their readers.
#pragma once
#include <doctest/doctest.h>
#include <zlib.h>

#include <cstring>
#include <string>
#include <vector>

#include "engine/core/error.h"

namespace alinea {

/// The message of the Error{data} that an action ends with.
std::string data_error(auto&& action) {
  try {
    action();
  } catch (const Error& e) {
    CHECK(e.kind() == Exit::data);
    return e.what();
  }
  return "no error";
}

template <class T>
std::string bytes_of_number(T value) {
  return std::string(reinterpret_cast<const char*>(&value), sizeof value);
}

/// A safetensors file with this header and that many zero bytes of data.
inline std::string safetensors_of(const std::string& header, size_t data_bytes) { return bytes_of_number(uint64_t(header.size())) + header + std::string(data_bytes, '\0'); }

struct ZipRecord {
  std::string name, bytes;
  uint16_t method = 0, flags = 0;
  uint32_t crc_change = 0;                                  // xor into the check sum
};

/// A zip archive of stored records.
inline std::string zip_of(const std::vector<ZipRecord>& records) {
  const auto u16 = [](size_t n) { return bytes_of_number(uint16_t(n)); };
  const auto u32 = [](size_t n) { return bytes_of_number(uint32_t(n)); };
  std::string file, directory;
  for (const ZipRecord& r : records) {
    const uint32_t crc = uint32_t(crc32_z(0, reinterpret_cast<const Bytef*>(r.bytes.data()), r.bytes.size())) ^ r.crc_change;
    const std::string shared = u16(r.flags) + u16(r.method) + u32(0) + u32(crc) + u32(r.bytes.size()) + u32(r.bytes.size()) + u16(r.name.size());
    directory += "PK\1\2" + u16(0) + u16(0) + shared + u16(0) + u16(0) + u16(0) + u16(0) + u32(0) + u32(file.size()) + r.name;
    file += "PK\3\4" + u16(0) + shared + u16(0) + r.name + r.bytes;
  }
  return file + directory + "PK\5\6" + u16(0) + u16(0) + u16(records.size()) + u16(records.size()) + u32(directory.size()) + u32(file.size()) + u16(0);
}

/// Pickle of {name: f32 tensor [n]} whose storage is record data/0.
inline std::string pickle_of_tensor(const std::string& name, uint8_t n, uint8_t offset = 0, uint8_t stride = 1) {
  const auto text = [](const std::string& s) { return std::string("X") + bytes_of_number(uint32_t(s.size())) + s; };
  const auto small = [](uint8_t i) { return std::string("K") + char(i); };
  return "\x80\x02}(" + text(name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\nFloatStorage\n" + text("0") + text("cpu") + small(4) + "tQ" + small(offset) + small(n) +
         "\x85" + small(stride) + "\x85\x89}tRu.";
}

/// A torch archive with that pickle and a storage of four floats 0 1 2 3.
inline std::string torch_zip_of(const std::string& pickle) {
  std::string floats;
  for (const float x : {0.0f, 1.0f, 2.0f, 3.0f}) floats += bytes_of_number(x);
  return zip_of({{"a/data.pkl", pickle}, {"a/byteorder", "little"}, {"a/data/0", floats}});
}

}  // namespace alinea
