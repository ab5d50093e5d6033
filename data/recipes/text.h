// The recipe "text": parallel files of one's own, one sentence a line, become a corpus to train text translation on. docs/text.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>

#include "data/subwords.h"

namespace alinea {

struct TextOptions {
  std::filesystem::path source, target;          // plain or compressed by gzip
  std::filesystem::path dev_source, dev_target;  // empty: held out of source and target
  std::filesystem::path test_source, test_target;
  std::string from = "en", to = "de";  // noted in the manifests
  SubwordTraining subwords;
  bool joint = false;  // one vocabulary for both languages
  std::filesystem::path out;
};

struct TextSummary {
  int64_t train = 0, dev = 0, test = 0, source_pieces = 0, target_pieces = 0;
  int64_t tabs = 0;   // sentences in which tabs became spaces: a manifest's fields hold none
  int64_t known = 0;  // dev and test sources that are train sources too
};

/// Writes out/: {train,dev,test}.tsv, subwords.model (joint) or subwords.{src,tgt}.model, vocab.{src,tgt}.tsv (sentence counts of each
/// piece over the training sentences), config.json. Everything is written under out.part and renamed at the end.
/// Without files for dev or test, the last lines are held out: N = lines / 20, at least 1, at most 1000; the last N are test, those before
/// them dev. Throws Error{usage} if out exists, Error{data} naming file and line for files of unequal length, empty files and sentences,
/// text that is not UTF-8, and a vocabulary that the corpus cannot fill.
TextSummary prepare_text(const TextOptions& options);

/// Lines of a text file, compressed by gzip or not, without line ends. Throws Error{data} for a file that is missing, damaged, empty or not
/// UTF-8 (with the line).
std::vector<std::string> read_sentences(const std::filesystem::path& path);

}  // namespace alinea
