#include "data/tokenizers/unigram_model.h"

#include <bit>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "engine/core/error.h"

namespace alinea {
namespace {

using nlohmann::json;

// Fields of protocol buffers, as sentencepiece_model.proto numbers them.
void put_varint(std::string& out, uint64_t value) {
  for (; value >= 128; value >>= 7) out += char(value | 128);
  out += char(value);
}

void put_bytes(std::string& out, int field, std::string_view bytes) {
  put_varint(out, uint64_t(field) << 3 | 2);
  put_varint(out, bytes.size());
  out += bytes;
}

void put_float(std::string& out, int field, float value) {
  put_varint(out, uint64_t(field) << 3 | 5);
  for (uint32_t bits = std::bit_cast<uint32_t>(value), i = 0; i < 4; ++i, bits >>= 8) out += char(bits);
}

void put_number(std::string& out, int field, uint64_t value) {
  put_varint(out, uint64_t(field) << 3);
  put_varint(out, value);
}

enum PieceType { normal = 1, unknown = 2, control = 3 };

void put_piece(std::string& model, std::string_view text, double score, PieceType type) {
  std::string piece;
  put_bytes(piece, 1, text);
  put_float(piece, 2, float(score));
  if (type != normal) put_number(piece, 3, type);
  put_bytes(model, 1, piece);
}

std::string from_base64(std::string_view text, const std::string& place) {
  static constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  while (text.ends_with('=')) text.remove_suffix(1);
  for (const char c : text) {
    const size_t digit = digits.find(c);
    require_data(digit != digits.npos, "{}: the character map is not in base 64 ('{}')", place, c);
    bits = bits << 6 | uint32_t(digit);
    if ((count += 6) >= 8) bytes += char(bits >> (count -= 8));
  }
  return bytes;
}

// The normalizer itself, or one of a sequence.
std::string character_map(const json& tokenizer, const std::string& place) {
  const json normalizer = tokenizer.value("normalizer", json());
  if (!normalizer.is_object()) return "";
  const json list = normalizer.contains("normalizers") ? normalizer["normalizers"] : json::array({normalizer});
  for (const json& one : list)
    if (one.is_object() && one.contains("precompiled_charsmap") && one["precompiled_charsmap"].is_string())
      return from_base64(one["precompiled_charsmap"].get<std::string>(), place);
  return "";
}

}  // namespace

std::string unigram_model_of(const json& tokenizer, const std::string& place) {
  const json model = tokenizer.value("model", json());
  require_data(model.is_object() && model.value("type", json()) == "Unigram" && model.contains("vocab") && model["vocab"].is_array(),
               "{}: its model is no Unigram vocabulary; mBART needs one, or a sentencepiece.bpe.model", place);
  const json& vocabulary = model["vocab"];
  static constexpr const char* first[] = {"<s>", "<pad>", "</s>", "<unk>"};
  for (const json& entry : vocabulary)
    require_data(entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_number(), "{}: the vocabulary entry {} is not [piece, score]", place,
                 entry.dump());
  for (size_t i = 0; i < 4; ++i)
    require_data(i < vocabulary.size() && vocabulary[i][0] == first[i], "{}: entry {} of the vocabulary is not {}, as in mBART's order", place, i, first[i]);
  std::string bytes;
  put_piece(bytes, "<unk>", 0, unknown);
  put_piece(bytes, "<s>", 0, control);
  put_piece(bytes, "</s>", 0, control);
  for (size_t i = 4; i < vocabulary.size() && vocabulary[i][0] != "ar_AR"; ++i)
    put_piece(bytes, vocabulary[i][0].get_ref<const std::string&>(), vocabulary[i][1], normal);
  std::string trainer, normalizer;
  put_number(trainer, 3, 1);  // unigram
  put_bytes(bytes, 2, trainer);
  put_bytes(normalizer, 2, character_map(tokenizer, place));
  put_bytes(bytes, 3, normalizer);
  return bytes;
}

}  // namespace alinea
