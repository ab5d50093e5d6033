// Scalars for TensorBoard: an event file of TFRecords, each holding one `Event` protocol buffer.
//
//   record: length (8 bytes) · masked crc of the length (4) · bytes · masked crc of the bytes (4), little-endian
//   masked crc = rotate_right(crc32c, 15) + 0xa282ead8
//   Event: 1 wall_time (double) · 2 step (varint) · 3 file_version · 5 summary { 1 value { 1 tag, 2 simple_value (float) } } · 7
//   session_log { 1 status }
#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace alinea {

/// CRC-32C (Castagnoli), as in RFC 3720.
uint32_t crc32c(std::string_view bytes);

class TensorBoard {
 public:
  /// Starts a new event file in `folder` (made when missing). `first_step` > 0 tells TensorBoard to forget what older files of the folder
  /// say about this step and later ones, so a resumed run shows one line.
  explicit TensorBoard(const std::filesystem::path& folder, int64_t first_step = 0);

  void scalars(int64_t step, std::span<const std::pair<std::string_view, double>> values);

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace alinea
