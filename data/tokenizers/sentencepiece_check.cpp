#include "data/tokenizers/sentencepiece_check.h"

#include <cmath>
#include <cstring>

#include "engine/core/error.h"

namespace alinea {

namespace {

enum Wire { varint = 0, eight = 1, bytes = 2, four = 5 };

struct Field {
  uint64_t number = 0;
  int wire = 0;
  uint64_t value = 0;                                       // of a varint
  std::string_view content;                                 // of bytes and of numbers of fixed size
};

// The fields of one message, in turn.
class Message {
 public:
  Message(std::string_view text, const std::string& place) : rest_(text), place_(place) {}

  bool next(Field& f) {
    if (rest_.empty()) return false;
    const uint64_t key = number();
    if (key >> 32) refuse();
    f = {.number = key >> 3, .wire = int(key & 7), .value = 0, .content = {}};
    if (f.wire == varint) f.value = number();
    else if (f.wire == eight) f.content = take(8);
    else if (f.wire == four) f.content = take(4);
    else if (f.wire == bytes) f.content = take(number());
    else refuse();
    return true;
  }

 private:
  [[noreturn]] void refuse() const { fail(Exit::data, "{}: this is no sentencepiece model (a field is damaged or the file is truncated)", place_); }
  std::string_view take(uint64_t n) {
    if (n > rest_.size()) refuse();
    const std::string_view part = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return part;
  }
  uint64_t number() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = uint8_t(take(1)[0]);
      value |= uint64_t(byte & 127) << shift;
      if (byte < 128) return value;
    }
    refuse();
  }

  std::string_view rest_;
  const std::string& place_;
};

void check_piece(std::string_view piece, const std::string& place) {
  Message message(piece, place);
  for (Field f; message.next(f);) {
    if (f.number != 2 || f.wire != four) continue;
    float score;
    std::memcpy(&score, f.content.data(), sizeof score);
    require_data(std::isfinite(score), "{}: the score of a piece is {}", place, score);
  }
}

// A node at position p moves by a byte c to p ^ offset ^ c and has its value at p ^ offset.
void check_character_map(std::string_view map, const std::string& place) {
  if (map.empty()) return;
  uint32_t size = 0;
  require_data(map.size() > 4, "{}: the character map is truncated", place);
  std::memcpy(&size, map.data(), 4);
  require_data(size % 4 == 0 && size >= 1024 && size < map.size() - 4, "{}: the character map claims an array of {} bytes in {}", place, size, map.size());
  const std::string_view texts = map.substr(4 + size);
  require_data(texts.back() == '\0', "{}: the last replacement of the character map has no end", place);
  const uint32_t units = size / 4;
  const auto unit = [&](uint32_t i) {
    uint32_t u;
    std::memcpy(&u, map.data() + 4 + 4 * size_t(i), 4);
    return u;
  };
  for (uint32_t i = 0; i < units; ++i) {
    const uint32_t u = unit(i);
    if (u >> 31 && i > 0) continue;                         // a value, never a node; the root is one whatever it says
    const uint32_t next = i ^ ((u >> 10) << ((u & 0x200) >> 6));
    require_data((next | 255) < units, "{}: the character map leads out of its array", place);
    if (u & 0x100) require_data((unit(next) & 0x7FFFFFFF) < texts.size(), "{}: the character map leads out of its replacements", place);
  }
}

void check_normalizer(std::string_view normalizer, const std::string& place) {
  Message message(normalizer, place);
  for (Field f; message.next(f);)
    if (f.number == 2 && f.wire == bytes) check_character_map(f.content, place);
}

}  // namespace

void check_sentencepiece_model(std::string_view model, const std::string& place) {
  enum { piece = 1, normalizer = 3, denormalizer = 5 };
  Message message(model, place);
  for (Field f; message.next(f);) {
    if (f.wire != bytes) continue;
    if (f.number == piece) check_piece(f.content, place);
    if (f.number == normalizer || f.number == denormalizer) check_normalizer(f.content, place);
  }
}

}  // namespace alinea
