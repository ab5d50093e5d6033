#include "data/scores/bleu_tokenizers.h"

#include <fmt/format.h>
#include <unicode/uchar.h>

#include <array>
#include <utility>

#include "data/scores/mecab.h"
#include "data/scores/words.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != text.npos; at += to.size()) text.replace(at, from.size(), to);
}

std::string to_utf8(const std::u32string& text) {
  std::string bytes;
  for (const char32_t c : text) bytes += utf8(c);
  return bytes;
}

bool is_digit(char32_t c) { return c >= '0' && c <= '9'; }
bool is_stop(char32_t c) { return c == '.' || c == ','; }

// Symbols that always stand alone: { to ~, [ to `, space to &, ( to +, : to @, and /.
bool always_alone(char32_t c) {
  return (c >= '{' && c <= '~') || (c >= '[' && c <= '`') || (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || (c >= ':' && c <= '@') || c == '/';
}

// Spaces around every character that matches.
template <class Match>
std::u32string isolate(const std::u32string& text, Match matches) {
  std::u32string out;
  for (const char32_t c : text) matches(c) ? (out += U' ', out += c, out += U' ') : out += c;
  return out;
}

// One pass of a two-character rule, left to right without overlap: where matches(a, b), "a b" with a space before or after it.
template <class Match>
std::u32string separate(const std::u32string& text, Match matches, bool before, bool after) {
  std::u32string out;
  out.reserve(text.size() + 16);
  for (size_t i = 0; i < text.size();) {
    if (i + 1 == text.size() || !matches(text[i], text[i + 1])) {
      out += text[i++];
      continue;
    }
    if (before) out += U' ';
    out += text[i];
    out += U' ';
    out += text[i + 1];
    if (after) out += U' ';
    i += 2;
  }
  return out;
}

// What mteval-v13a does to punctuation in Western text.
std::string separate_western(std::u32string text) {
  text = isolate(text, always_alone);
  text = separate(text, [](char32_t a, char32_t b) { return !is_digit(a) && is_stop(b); }, false, true);
  text = separate(text, [](char32_t a, char32_t b) { return is_stop(a) && !is_digit(b); }, true, false);
  return to_utf8(separate(text, [](char32_t a, char32_t b) { return is_digit(a) && b == '-'; }, false, true));
}

std::string tokenize_13a(std::string_view line) {
  std::string text = " " + std::string(line) + " ";
  replace_all(text, "<skipped>", "");
  replace_all(text, "-\n", "");
  replace_all(text, "\n", " ");
  replace_all(text, "&quot;", "\"");
  replace_all(text, "&amp;", "&");
  replace_all(text, "&lt;", "<");
  replace_all(text, "&gt;", ">");
  return separate_western(code_points(text));
}

bool is_of(char32_t c, uint32_t categories) { return (U_MASK(u_charType(UChar32(c))) & categories) != 0; }
bool is_number(char32_t c) { return is_of(c, U_GC_N_MASK); }
bool is_punctuation(char32_t c) { return is_of(c, U_GC_P_MASK); }

// mteval-v14's rules: punctuation by Unicode's categories, but not between digits; symbols always.
std::string tokenize_intl(std::string_view line) {
  std::u32string text = code_points(line);
  text = separate(text, [](char32_t a, char32_t b) { return !is_number(a) && is_punctuation(b); }, false, true);
  text = separate(text, [](char32_t a, char32_t b) { return is_punctuation(a) && !is_number(b); }, true, false);
  return to_utf8(isolate(text, [](char32_t c) { return is_of(c, U_GC_S_MASK); }));
}

// sacreBLEU means planes 2 to be in the list as well, but compares with "\u2000" followed by a digit; what it does is what counts here.
constexpr std::array<std::pair<char32_t, char32_t>, 22> chinese = {{{0x3400, 0x4DB5}, {0x4E00, 0x9FA5}, {0x9FA6, 0x9FBB}, {0xF900, 0xFA2D}, {0xFA30, 0xFA6A}, {0xFA70, 0xFAD9},
                                                                    {0x2001, 0x2A6D}, {0x2F81, 0x2FA1}, {0xFF00, 0xFFEF}, {0x2E80, 0x2EFF}, {0x3000, 0x303F}, {0x31C0, 0x31EF},
                                                                    {0x2F00, 0x2FDF}, {0x2FF0, 0x2FFF}, {0x3100, 0x312F}, {0x31A0, 0x31BF}, {0xFE10, 0xFE1F}, {0xFE30, 0xFE4F},
                                                                    {0x2600, 0x26FF}, {0x2700, 0x27BF}, {0x3200, 0x32FF}, {0x3300, 0x33FF}}};

bool is_chinese(char32_t c) {
  for (const auto& [first, last] : chinese)
    if (c >= first && c <= last) return true;
  return false;
}

std::string tokenize_zh(std::string_view line) { return separate_western(isolate(code_points(strip(line)), is_chinese)); }

std::string tokenize_none(std::string_view line) { return std::string(line); }

std::string tokenize_char(std::string_view line) {
  std::string text;
  for (const char32_t c : code_points(line)) text += utf8(c) + " ";
  return text;
}

std::string tokenize_ja(std::string_view line) { return mecab_words(strip(line)); }

constexpr BleuTokenizer tokenizers[] = {
    {"13a", "mteval-v13a's rules for European languages", tokenize_13a, nullptr},
    {"none", "the text is cut at white space only", tokenize_none, nullptr},
    {"char", "every character is a word", tokenize_char, nullptr},
    {"intl", "mteval-v14's rules: punctuation and symbols of any script", tokenize_intl, nullptr},
    {"zh", "Chinese characters one by one, 13a for the rest", tokenize_zh, nullptr},
    {"ja-mecab", "Japanese words by MeCab and the IPA dictionary", tokenize_ja, mecab_version},
};

}  // namespace

std::span<const BleuTokenizer> bleu_tokenizers() { return tokenizers; }

const BleuTokenizer& bleu_tokenizer(std::string_view name) {
  std::string known;
  for (const auto& tokenizer : tokenizers) {
    if (tokenizer.name == name) return tokenizer;
    known += fmt::format(" {}", tokenizer.name);
  }
  fail(Exit::usage, "BLEU: unknown tokenizer \"{}\"; known are{}", name, known);
}

}  // namespace alinea
