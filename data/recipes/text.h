// The recipe "text": parallel files of one's own, one sentence a line, become a corpus to train text translation on. docs/text.md.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "data/recipes/text_corpus.h"

namespace alinea {

struct TextOptions : TextLayout {
  std::filesystem::path source, target;          // plain or compressed by gzip
  std::filesystem::path dev_source, dev_target;  // empty: held out of source and target
  std::filesystem::path test_source, test_target;
};

/// Without files for dev or test, the last lines are held out: N = lines / 20, at least 1, at most 1000; the last N are test, those before
/// them dev. Throws as write_text_corpus, and Error{data} naming file and line for files of unequal length, empty files and sentences, and
/// text that is not UTF-8.
TextSummary prepare_text(const TextOptions& options);

/// Lines of a text file, compressed by gzip or not, without line ends. Throws Error{data} for a file that is missing, damaged, empty or not
/// UTF-8 (with the line).
std::vector<std::string> read_sentences(const std::filesystem::path& path);

}  // namespace alinea
