#include "data/recipes/spell_out.h"

#include <unicode/brkiter.h>
#include <unicode/rbnf.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include "engine/core/error.h"

namespace alinea {

struct SpellOut::Format {
  std::string language;
  icu::RuleBasedNumberFormat numbers;
  std::vector<std::string> rule_sets;
};

namespace {

bool written_without_spaces(const icu::UnicodeString& text) {
  UErrorCode status = U_ZERO_ERROR;
  const UScriptCode script = uscript_getScript(text.char32At(0), &status);
  return script == USCRIPT_HAN || script == USCRIPT_HANGUL || script == USCRIPT_MYANMAR;
}

std::string utf8(const icu::UnicodeString& text) {
  std::string result;
  text.toUTF8String(result);
  return result;
}

std::vector<std::string> characters(const icu::UnicodeString& text) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<icu::BreakIterator> breaks(icu::BreakIterator::createCharacterInstance(icu::Locale::getRoot(), status));
  require(U_SUCCESS(status), "ICU: no rules for cutting text into characters ({}); install the package libicu", u_errorName(status));
  breaks->setText(text);
  std::vector<std::string> result;
  for (int32_t begin = 0, end = breaks->next(); end != icu::BreakIterator::DONE; begin = end, end = breaks->next())
    result.push_back(utf8(text.tempSubStringBetween(begin, end)));
  return result;
}

}  // namespace

SpellOut::SpellOut(std::string_view language) {
  UErrorCode status = U_ZERO_ERROR;
  const std::string name(language);
  format_.reset(new Format{name, {icu::URBNF_SPELLOUT, icu::Locale(name.c_str()), status}, {}});
  const bool loaded = U_SUCCESS(status);
  // An unknown language silently becomes the default one: ask ICU which rules it took.
  const bool own = loaded && std::string_view(format_->numbers.getLocale(ULOC_ACTUAL_LOCALE, status).getLanguage()) == icu::Locale(name.c_str()).getLanguage();
  icu::UnicodeString seven;
  if (own) format_->numbers.format(int64_t(7), seven);
  require(own && !u_isdigit(seven.char32At(0)), "announcements: ICU spells out no numbers in the target language '{}'; choose another (de, fr, sv, ja …)",
          language);
  for (int32_t i = 0; i < format_->numbers.getNumberOfRuleSetNames(); ++i)
    format_->rule_sets.push_back(utf8(format_->numbers.getRuleSetName(i)));
}

SpellOut::~SpellOut() = default;
SpellOut::SpellOut(SpellOut&&) noexcept = default;

std::string SpellOut::text(int64_t number, std::string_view rules) const {
  icu::UnicodeString out;
  if (rules.empty()) {
    format_->numbers.format(number, out);
    return utf8(out);
  }
  UErrorCode status = U_ZERO_ERROR;
  icu::FieldPosition position;
  format_->numbers.format(number, icu::UnicodeString::fromUTF8(icu::StringPiece(rules.data(), int32_t(rules.size()))), out, position, status);
  if (U_FAILURE(status)) {
    std::string all;
    for (const auto& set : format_->rule_sets) all += (all.empty() ? "" : ", ") + set;
    fail(Exit::usage, "announcements: ICU has no rule set '{}' for '{}'; it has: {}", rules, format_->language, all);
  }
  return utf8(out);
}

std::vector<std::string> SpellOut::tokens(int64_t number, std::string_view rules) const {
  const icu::UnicodeString whole = icu::UnicodeString::fromUTF8(text(number, rules));
  if (written_without_spaces(whole)) return characters(whole);
  std::vector<std::string> result;
  icu::UnicodeString word;
  const auto flush = [&] {
    if (!word.isEmpty()) result.push_back(utf8(word));
    word.remove();
  };
  for (int32_t i = 0; i < whole.length(); i = whole.moveIndex32(i, 1)) {
    const UChar32 c = whole.char32At(i);
    if (c == 0xAD || c == 0x200B || c == '-' || u_isUWhiteSpace(c)) flush();
    else word.append(c);
  }
  flush();
  return result;
}

}  // namespace alinea
