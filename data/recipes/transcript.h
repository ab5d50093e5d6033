// From a printed sentence to what a recogniser of letters writes (CTC): the words that are said, in letters and apostrophes of one case,
// separated by single spaces.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "data/recipes/spell_out.h"

namespace alinea {

/// A printed sentence without the remarks in brackets: [..], (..) and <..>.
struct Spoken {
  std::string text;
  bool doubtful = false;  // a remark holds words, which may or may not be said
};
/// text is empty when nothing but remarks is there: the recording of a tone, or of silence.
Spoken without_remarks(std::string_view sentence);

class Transcriber {
 public:
  enum class Letters { upper, lower };

  /// Throws Error{usage} for a language whose numbers ICU cannot spell out.
  Transcriber(std::string_view language, Letters letters) : language_(language), letters_(letters), numbers_(language) {}

  /// "Press 1, please!" → PRESS ONE PLEASE. Numbers up to 99 are spelled out (longer ones are read in several ways: digit by digit, in
  /// pairs); punctuation and hyphens part words; apostrophes stay inside words. Nothing for a sentence whose reading is not certain: words
  /// in brackets, longer numbers, letters and digits in one word, signs as # * /, or nothing that is said at all.
  std::optional<std::string> letters_of(std::string_view sentence) const;

 private:
  std::string language_;
  Letters letters_;
  SpellOut numbers_;
};

}  // namespace alinea
