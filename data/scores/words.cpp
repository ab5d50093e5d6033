#include "data/scores/words.h"

#include <unicode/locid.h>
#include <unicode/unistr.h>
#include <unicode/utf8.h>

namespace alinea {

bool is_white_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) ||
         c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

std::u32string code_points(std::string_view text) {
  std::u32string all;
  all.reserve(text.size());
  const int32_t n = int32_t(text.size());
  for (int32_t i = 0; i < n;) {
    const int32_t begin = i;
    UChar32 c;
    U8_NEXT(text.data(), i, n, c);
    if (c < 0) {
      i = begin + 1;
      c = 0xDC00 + uint8_t(text[size_t(begin)]);
    }
    all.push_back(char32_t(c));
  }
  return all;
}

std::string utf8(char32_t c) {
  if (c >= 0xDC00 && c <= 0xDCFF) return std::string(1, char(c - 0xDC00));  // a byte kept by code_points
  char bytes[4];
  int32_t length = 0;
  U8_APPEND_UNSAFE(bytes, length, UChar32(c));
  return std::string(bytes, size_t(length));
}

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  for (const char32_t c : code_points(text)) {
    if (!is_white_space(c)) {
      word += utf8(c);
    } else if (!word.empty()) {
      words.push_back(std::move(word));
      word.clear();
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

std::string_view strip(std::string_view text, bool left, bool right) {
  const int32_t n = int32_t(text.size());
  int32_t begin = 0, end = n;
  for (int32_t i = 0; left && i < n; begin = i) {
    UChar32 c;
    U8_NEXT(text.data(), i, n, c);
    if (c < 0 || !is_white_space(char32_t(c))) break;
  }
  for (int32_t i = n; right && i > begin; end = i) {
    UChar32 c;
    U8_PREV(text.data(), begin, i, c);
    if (c < 0 || !is_white_space(char32_t(c))) break;
  }
  return text.substr(size_t(begin), size_t(end - begin));
}

std::string join_words(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) (text.empty() ? text : text += ' ') += word;
  return text;
}

std::string lower_case(std::string_view text) {
  std::string lowered;
  icu::UnicodeString::fromUTF8({text.data(), int32_t(text.size())}).toLower(icu::Locale::getRoot()).toUTF8String(lowered);
  return lowered;
}

std::string upper_case(std::string_view text) {
  std::string raised;
  icu::UnicodeString::fromUTF8({text.data(), int32_t(text.size())}).toUpper(icu::Locale::getRoot()).toUTF8String(raised);
  return raised;
}

}  // namespace alinea
