// Looks through a prepared folder: does every file that the manifests name exist and hold what they say, do the vocabularies cover the
// texts, and is the split strict?
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace alinea {

struct DataReport {
  struct SplitReport {
    std::string name;
    int64_t utterances = 0, target_words = 0;
    double hours = 0;
    int64_t unseen_target_words = 0;  // different ones that training never shows (a warning, not a problem: small corpora have some)
    int64_t held_out_keys = 0;        // different numbers, dates and times that occur here and must occur nowhere else (dev, test)
  };
  std::vector<SplitReport> splits;
  std::vector<std::string> problems;  // each: place, found, expected
  int64_t further_problems = 0;       // beyond the first 50
  bool ok() const { return problems.empty(); }
};

/// Checks train, dev and test (those whose manifest exists): audio readable, one channel, 16 kHz, with n_frames' worth of samples;
/// features of the same lengths; target and source words in the vocabularies; word spans inside the audio; no id and no key in two
/// splits. Of a corpus of waves (preprocessor_config.json): every letter in vocab.json; rows without a text are untranscribed speech. Of a text corpus: pairs, ids, vocabularies; utterances are pairs and words are pieces. Throws Error{data} if the folder, all manifests or the target vocabulary are missing.
DataReport check_data(const std::filesystem::path& folder);

}  // namespace alinea
