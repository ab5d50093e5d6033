// The recipe "announcements": recordings of single words, made to be joined (Debian's asterisk-core-sounds), become numbers, dates, times
// and announcements in real speech, with their translation. docs/announcements.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "data/recipes/prepare_progress.h"

namespace alinea {

struct AnnouncementsOptions {
  std::string from = "en", to = "de";
  std::string kind = "mix";                                          // mix | numbers
  int64_t train = 8000, dev = 200, test = 400;
  uint64_t seed = 1;
  std::filesystem::path out;
  std::filesystem::path sounds_dir = "/usr/share/asterisk/sounds";   // holds en_US_f_Allison, …; or itself holds digits/
  std::filesystem::path template_file;                               // takes the place of the built-in template
  int threads = 2;
};

/// Writes out/: {train,dev,test}.tsv, audio/SPLIT/ID.wav (16 bits), features/SPLIT.{f16,json}, vocab.{src,tgt}.txt, config.json.
/// Utterance i of a split is a pure function of (seed, split, i): the number of threads changes nothing. Everything is written under
/// out.part and renamed at the end, so that what is called `out` is whole. Throws Error{usage} if out exists.
void prepare_announcements(const AnnouncementsOptions& options, const PrepareProgress& progress = {});

}  // namespace alinea
