#include "apps/tensorboard.h"

#include <fmt/format.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <chrono>
#include <cstring>

#include "engine/core/files.h"

namespace alinea {
namespace {

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = c & 1 ? 0x82F63B78u ^ (c >> 1) : c >> 1;
    table[i] = c;
  }
  return table;
}

template <class T>
std::string little_endian(T value) {
  static_assert(std::endian::native == std::endian::little);
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return bytes;
}

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7) bytes += char(value | 0x80);
  return bytes += char(value);
}

// The wire types of protocol buffers: 0 varint, 1 eight bytes, 2 length and bytes, 5 four bytes.
std::string number_field(int field, int64_t value) { return varint(uint64_t(field) << 3 | 0) + varint(uint64_t(value)); }
std::string double_field(int field, double value) { return varint(uint64_t(field) << 3 | 1) + little_endian(value); }
std::string bytes_field(int field, std::string_view value) {
  return varint(uint64_t(field) << 3 | 2) + varint(value.size()) + std::string(value);
}
std::string float_field(int field, float value) { return varint(uint64_t(field) << 3 | 5) + little_endian(value); }

std::string masked_crc(std::string_view bytes) { return little_endian(std::rotr(crc32c(bytes), 15) + 0xa282ead8u); }

std::string record(std::string_view event) {
  const std::string length = little_endian(uint64_t(event.size()));
  return length + masked_crc(length) + std::string(event) + masked_crc(event);
}

double seconds_now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto table = crc_table();
  uint32_t c = ~0u;
  for (const char b : bytes) c = table[(c ^ uint8_t(b)) & 255] ^ (c >> 8);
  return ~c;
}

TensorBoard::TensorBoard(const std::filesystem::path& folder, int64_t first_step) {
  make_folder(folder);
  char host[256] = "localhost";
  ::gethostname(host, sizeof host - 1);
  const double now = seconds_now();
  for (int part = 0; path_.empty() || std::filesystem::exists(path_); ++part)  // names sort by time: TensorBoard reads them in this order
    path_ = folder / fmt::format("events.out.tfevents.{:010d}.{}.{}.{}", int64_t(now), host, ::getpid(), part);
  std::string bytes = record(double_field(1, now) + bytes_field(3, "brain.Event:2"));
  if (first_step > 0) bytes += record(double_field(1, now) + number_field(2, first_step) + bytes_field(7, number_field(1, 1)));  // START
  append_file(path_, bytes);
}

void TensorBoard::scalars(int64_t step, std::span<const std::pair<std::string_view, double>> values) {
  std::string summary;
  for (const auto& [tag, value] : values) summary += bytes_field(1, bytes_field(1, tag) + float_field(2, float(value)));
  append_file(path_, record(double_field(1, seconds_now()) + number_field(2, step) + bytes_field(5, summary)));
}

}  // namespace alinea
