// The recipe "bible": the verses of two translations, joined by book, chapter and verse. English (World English Bible) and Spanish
// (Reina-Valera 1909) come with Debian and are in the public domain; mod2imp of libsword-utils reads them. docs/text.md.
#pragma once
#include <string_view>

#include "data/recipes/text_corpus.h"

namespace alinea {

struct BibleOptions : TextLayout {
  std::filesystem::path sword = "/usr/share/sword";  // the folder with mods.d
};

/// One chapter in 40 goes to test and one to dev, by a hash of "Book chapter", so that no verse is held out between its neighbours. Throws Error{usage} for a language that has no translation, Error{data} naming the packages to install when the texts or mod2imp are
/// missing, and as write_text_corpus.
TextSummary prepare_bible(const BibleOptions& options);

/// What is read aloud of a verse in OSIS markup: notes and titles left out, other marks taken away, entities resolved.
std::string plain_verse(std::string_view markup);

struct Verse {
  std::string key, text;  // "Genesis 1:1"
};
/// The verses of mod2imp's output ("$$$Genesis 1:1", then the markup), in its order, without headings (verse 0) and empty verses.
/// Throws Error{data} naming `place` when there is none.
std::vector<Verse> parse_verses(std::string_view imp, const std::string& place);

}  // namespace alinea
