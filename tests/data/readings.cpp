#include <doctest/doctest.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>

#include <functional>

#include "data/recipes/reading.h"
#include "data/recipes/spell_out.h"
#include "tests/data/temporary.h"

using namespace alinea;

namespace {

/// Letters alone: without accents, hyphens, spaces and soft hyphens.
std::string letters(const std::string& text) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::UnicodeString parts = icu::Normalizer2::getNFDInstance(status)->normalize(icu::UnicodeString::fromUTF8(text), status);
  icu::UnicodeString kept;
  for (int32_t i = 0; i < parts.length(); i = parts.moveIndex32(i, 1))
    if (u_isalpha(parts.char32At(i))) kept.append(parts.char32At(i));
  std::string result;
  kept.toUTF8String(result);
  return result;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size()) text.replace(at, from.size(), to);
  return text;
}

/// What cannot be heard, or is said both ways: the same on both sides before comparing.
std::string same_sound(const std::string& language, std::string text) {
  text = letters(text);
  if (language == "fr") return replaced(replaced(text, "cents", "cent"), "vingts", "vingt");                      // silent plural
  if (language == "it") return replaced(replaced(text, "centoo", "cento"), "unomila", "unmila");                  // centotto; vent'un(o)mila
  if (language == "ru" && text.starts_with("однатысяча")) return text.substr(std::string("одна").size());  // a thousand
  return text;
}

int64_t checked(const std::string& language, int64_t step) {
  const Reading reading = Reading::of(language);
  const SpellOut icu_words(language);
  int64_t sayable = 0;
  for (int64_t n = 0; n <= 1000000; n += n < 2200 ? 1 : step) {
    const auto recordings = reading.read(n);
    if (!recordings) continue;
    ++sayable;
    const std::string ours = same_sound(language, reading.words(*recordings)), theirs = same_sound(language, icu_words.text(n));
    if (ours != theirs) {
      CAPTURE(language);
      CAPTURE(n);
      REQUIRE(ours == theirs);
    }
  }
  return sayable;
}

using Names = std::vector<std::string>;
Names short_names(const std::optional<Names>& names) {
  REQUIRE(names.has_value());
  Names result;
  for (const auto& name : *names) result.push_back(name.starts_with("digits/") ? name.substr(7) : name);
  return result;
}

}  // namespace

TEST_CASE("each source language reads numbers as ICU spells them") {
  // 47 is coprime to 10, so that every ending comes up. The whole range: --no-skip -tc="*every number*".
  const int64_t all = 2200 + (1000000 - 2200) / 47 + 1;
  CHECK(checked("en", 47) == all);
  CHECK(checked("es", 47) == all);
  CHECK(checked("fr", 47) == all);
  CHECK(checked("it", 47) == all);  // 1000000 itself has no recording and is not a step of 47
  CHECK(checked("ru", 47) > 500);
}

TEST_CASE("each source language reads every number as ICU spells it" * doctest::skip()) {
  for (const std::string language : {"en", "es", "fr"}) CHECK(checked(language, 1) == 1000001);
  CHECK(checked("it", 1) == 1000000);
  CHECK(checked("ru", 1) == 200 + 200 + 36 * 200 + 1);
}

TEST_CASE("reading rules: the places where languages differ") {
  const Reading en = Reading::of("en"), es = Reading::of("es"), fr = Reading::of("fr"), it = Reading::of("it"), ru = Reading::of("ru");
  CHECK(short_names(en.read(321)) == Names{"3", "hundred", "20", "1"});
  CHECK(short_names(en.read(23, "ordinal")) == Names{"20", "h-3"});
  CHECK(short_names(en.read(30, "ordinal")) == Names{"h-30"});
  CHECK(short_names(es.read(100)) == Names{"hundred"});
  CHECK(short_names(es.read(121000)) == Names{"100-and", "20-and", "1M", "thousand"});
  CHECK(es.words(*es.read(121000)) == "ciento veintiun mil");
  CHECK(short_names(es.read(31)) == Names{"30", "and", "1"});
  CHECK(short_names(fr.read(71)) == Names{"60", "et", "11"});
  CHECK(short_names(fr.read(97)) == Names{"80", "17"});
  CHECK(short_names(it.read(2028)) == Names{"2", "thousands", "28"});
  CHECK(short_names(ru.read(3102)) == Names{"3", "h-thousand", "hundred", "2"});
  for (const int64_t n : {200, 999, 1200, 2000, 5000, 13000, 14001, 21000, 203000}) CHECK_FALSE(ru.read(n).has_value());
  for (const int64_t n : {199, 1199, 4000, 24000, 123199, 194001, 1000000}) CHECK(ru.read(n).has_value());
  CHECK_FALSE(it.read(1000000).has_value());
}

TEST_CASE("reading rules: unknown languages, forms and recordings are refused") {
  CHECK(error_of(Exit::usage, [] { Reading::of("de"); }).find("en, es, fr, it, ru") != std::string::npos);
  CHECK(error_of(Exit::usage, [] { Reading::of("en").read(3, "plural"); }).find("'plural'") != std::string::npos);
  CHECK(data_error([] { Reading::of("en").words(Names{"digits/ninth"}); }).find("digits/ninth") != std::string::npos);
}

TEST_CASE("spell-out is cut into tokens in any language ICU knows") {
  CHECK(SpellOut("de").tokens(321) == Names{"drei", "hundert", "ein", "und", "zwanzig"});
  CHECK(SpellOut("de").tokens(101) == Names{"ein", "hundert", "eins"});
  CHECK(SpellOut("de").tokens(1, "%spellout-cardinal-neuter") == Names{"ein"});
  CHECK(SpellOut("de").tokens(23, "%spellout-ordinal") == Names{"drei", "und", "zwanzigste"});
  CHECK(SpellOut("fr").tokens(97) == Names{"quatre", "vingt", "dix", "sept"});
  CHECK(SpellOut("sv").tokens(21) == Names{"tjugo", "ett"});
  CHECK(SpellOut("ja").tokens(321) == Names{"三", "百", "二", "十", "一"});
  CHECK(error_of(Exit::usage, [] { SpellOut("eu"); }).find("'eu'") != std::string::npos);
  CHECK(error_of(Exit::usage, [] { SpellOut("zz"); }).find("'zz'") != std::string::npos);
  CHECK(error_of(Exit::usage, [] { SpellOut("de").tokens(1, "%nothing"); }).find("%spellout-ordinal") != std::string::npos);
}
