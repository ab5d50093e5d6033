// Words of a Japanese text by MeCab (Kudo et al. 2004) with the IPA dictionary of 392126 entries, which is what sacreBLEU's scores mean. Debian's
// dictionary has one more, the era 令和; that word is cut in two, as the others would cut it.
#pragma once
#include <string>
#include <string_view>

namespace alinea {

/// Built with MeCab.
bool has_mecab();

/// Words separated by spaces. Error{usage} naming the packages, when this was built without MeCab or its dictionary is not there.
std::string mecab_words(std::string_view line);

/// "-0.996-IPA"
std::string mecab_version();

}  // namespace alinea
