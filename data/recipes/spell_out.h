// Numbers in words, in any language that ICU spells out (rule-based number formats), cut into tokens at soft hyphens, hyphens,
// spaces and zero-width spaces: de 321 → drei hundert ein und zwanzig. Scripts that write numbers without spaces (Han, Hangul,
// Myanmar) are cut into characters.
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace alinea {

class SpellOut {
 public:
  /// Throws Error{usage} if ICU has no spell-out rules for this language.
  explicit SpellOut(std::string_view language);
  ~SpellOut();
  SpellOut(SpellOut&&) noexcept;

  /// Tokens of a number, by a rule set of ICU such as %spellout-ordinal (empty: the language's default). Throws Error{usage} for an
  /// unknown rule set. Not to be called on one object by two threads at once.
  std::vector<std::string> tokens(int64_t number, std::string_view rules = "") const;
  /// The same as ICU writes it, soft hyphens and all.
  std::string text(int64_t number, std::string_view rules = "") const;

 private:
  struct Format;
  std::unique_ptr<Format> format_;
};

}  // namespace alinea
