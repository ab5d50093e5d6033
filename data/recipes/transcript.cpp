#include "data/recipes/transcript.h"

#include <unicode/locid.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include <algorithm>

#include "data/manifest.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

bool is_apostrophe(UChar32 c) { return c == '\'' || c == 0x2019; }

// Letters with the marks that belong to them.
bool is_letter(UChar32 c) { return u_isalpha(c) || (U_GET_GC_MASK(c) & U_GC_M_MASK) != 0; }

bool parts_words(UChar32 c) {
  return u_isUWhiteSpace(c) || (u_ispunct(c) && std::u32string_view(U"#*/\\@%&§†‰").find(char32_t(c)) == std::u32string_view::npos);
}

icu::UnicodeString composed(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* nfc = icu::Normalizer2::getNFCInstance(status);
  require(U_SUCCESS(status), "ICU: cannot normalise text ({}); install the package libicu", u_errorName(status));
  return nfc->normalize(icu::UnicodeString::fromUTF8(icu::StringPiece(text.data(), int32_t(text.size()))), status);
}

// Words of letters, digits and inner apostrophes; nothing if there is another sign.
std::optional<std::vector<icu::UnicodeString>> words_of(const icu::UnicodeString& text) {
  std::vector<icu::UnicodeString> words(1);
  for (int32_t i = 0; i < text.length(); i = text.moveIndex32(i, 1)) {
    const UChar32 c = text.char32At(i), next = i + 1 < text.length() ? text.char32At(text.moveIndex32(i, 1)) : ' ';
    if (is_letter(c) || u_isdigit(c))
      words.back().append(c);
    else if (is_apostrophe(c)) {
      if (!words.back().isEmpty() && is_letter(next)) words.back().append(UChar32('\''));
    } else if ((c == '.' || c == ',' || c == ':') && u_isdigit(next) && !words.back().isEmpty() &&
               u_isdigit(words.back().char32At(words.back().length() - 1)))
      return std::nullopt;  // 28.8, 10:30
    else if (parts_words(c))
      words.emplace_back();
    else
      return std::nullopt;
  }
  std::erase_if(words, [](const auto& w) { return w.isEmpty(); });
  return words;
}

}  // namespace

Spoken without_remarks(std::string_view sentence) {
  Spoken s;
  char closing = 0;
  for (const char c : sentence) {
    if (closing) {
      // A byte above 127 begins or continues a letter, or rarely a typographic sign.
      if (std::isalpha(uint8_t(c)) || uint8_t(c) > 127) s.doubtful = true;
      if (c == closing) closing = 0;
    } else if (c == '[' || c == '(' || c == '<') {
      closing = c == '[' ? ']' : c == '(' ? ')' : '>';
      s.text += ' ';
    } else {
      s.text += c;
    }
  }
  const auto letters = [](char c) { return std::isalnum(uint8_t(c)) || uint8_t(c) > 127; };
  if (std::none_of(s.text.begin(), s.text.end(), letters)) s.text.clear();
  return s;
}

std::optional<std::string> Transcriber::letters_of(std::string_view sentence) const {
  const Spoken spoken = without_remarks(sentence);
  if (spoken.text.empty() || spoken.doubtful) return std::nullopt;
  const auto words = words_of(composed(spoken.text));
  if (!words || words->empty()) return std::nullopt;
  std::vector<std::string> all;
  for (const icu::UnicodeString& word : *words) {
    std::string text;
    word.toUTF8String(text);
    const bool digits = text.find_first_of("0123456789") != std::string::npos;
    if (digits && (text.find_first_not_of("0123456789") != std::string::npos || text.size() > 2)) return std::nullopt;
    if (digits)
      for (std::string& token : numbers_.tokens(std::stoll(text))) all.push_back(std::move(token));
    else
      all.push_back(std::move(text));
  }
  icu::UnicodeString line = icu::UnicodeString::fromUTF8(join_text(all, " "));
  const icu::Locale locale(language_.c_str());
  letters_ == Letters::upper ? line.toUpper(locale) : line.toLower(locale);
  std::string result;
  line.toUTF8String(result);
  return result;
}

}  // namespace alinea
