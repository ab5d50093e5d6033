// Stands in for mecab.cpp where MeCab is not installed.
#include "data/scores/mecab.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

[[noreturn]] void refuse() {
  fail(Exit::usage, "BLEU: the tokenizer ja-mecab needs MeCab, and this program was built without it: install libmecab-dev and mecab-ipadic-utf8, then configure and build again");
}

}  // namespace

bool has_mecab() { return false; }
std::string mecab_words(std::string_view) { refuse(); }
std::string mecab_version() { refuse(); }

}  // namespace alinea
