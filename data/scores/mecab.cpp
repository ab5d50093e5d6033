#include "data/scores/mecab.h"

#include <mecab.h>

#include <filesystem>
#include <memory>

#include "data/scores/words.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

constexpr const char* folders[] = {"/var/lib/mecab/dic/ipadic-utf8", "/usr/share/mecab/dic/ipadic-utf8", "/usr/lib/mecab/dic/ipadic-utf8"};
constexpr unsigned entries = 392126;
constexpr std::string_view era = "令和";

std::unique_ptr<MeCab::Tagger> make_tagger() {
  for (const char* folder : folders) {
    if (!std::filesystem::exists(std::filesystem::path(folder) / "sys.dic")) continue;
    std::unique_ptr<MeCab::Tagger> tagger(MeCab::createTagger(fmt::format("-r /dev/null -d {} -Owakati", folder).c_str()));
    require(tagger != nullptr, "BLEU: MeCab does not take the dictionary {} ({})", folder, MeCab::getTaggerError());
    const MeCab::DictionaryInfo* dictionary = tagger->dictionary_info();
    require((dictionary->size == entries || dictionary->size == entries + 1) && dictionary->next == nullptr, "BLEU: the dictionary {} has {} entries; the IPA dictionary has {} (package mecab-ipadic-utf8)", folder,
            dictionary->size, entries);
    return tagger;
  }
  fail(Exit::usage, "BLEU: MeCab's IPA dictionary is not in {}: install mecab-ipadic-utf8", folders[0]);
}

MeCab::Tagger& tagger() {
  thread_local const std::unique_ptr<MeCab::Tagger> one = make_tagger();
  return *one;
}

}  // namespace

bool has_mecab() { return true; }

std::string mecab_words(std::string_view line) {
  const char* words = tagger().parse(line.data(), line.size());
  require_data(words != nullptr, "BLEU: MeCab cannot cut '{}' ({})", line, tagger().what());
  std::string text;
  for (const std::string& word : split_words(words)) {
    const bool newer = word == era;
    text += newer ? word.substr(0, era.size() / 2) + " " + word.substr(era.size() / 2) : word;
    text += ' ';
  }
  return text;
}

std::string mecab_version() { return fmt::format("-{}-IPA", MeCab::Tagger::version()); }

}  // namespace alinea
