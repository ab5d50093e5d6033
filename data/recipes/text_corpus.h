// A corpus to train text translation on, and how it is written: what all recipes of text share. docs/text.md.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "data/subwords.h"

namespace alinea {

/// Sentence pairs; the names of where they come from are for messages and config.json.
struct TextPairs {
  std::string source_name, target_name;
  std::vector<std::string> source, target;
  int64_t size() const { return int64_t(source.size()); }
};

struct TextCorpus {
  std::string recipe;
  TextPairs train, dev, test;
};

/// What every recipe of text lets the user choose.
struct TextLayout {
  std::string from = "en", to = "de";  // noted in the manifests
  SubwordTraining subwords;
  bool joint = false;  // one vocabulary for both languages
  std::string tokenizer = "plain";  // plain: subwords.model; mbart, mbart50: a tokenizer of transformers, one vocabulary, unigram pieces
  std::filesystem::path out;
};

struct TextSummary {
  int64_t train = 0, dev = 0, test = 0, source_pieces = 0, target_pieces = 0;
  int64_t tabs = 0;   // sentences in which tabs became spaces: a manifest's fields hold none
  int64_t known = 0;  // dev and test sources that are train sources too
};

/// Writes out/: {train,dev,test}.tsv, subwords.model (joint) or subwords.{src,tgt}.model or the files of an mBART
/// tokenizer, vocab.{src,tgt}.tsv (sentence counts of each
/// piece over the training sentences), config.json. Everything is written under out.part and renamed at the end.
/// Throws Error{usage} if out exists, Error{data} for a vocabulary that the corpus cannot fill.
TextSummary write_text_corpus(TextCorpus corpus, const TextLayout& layout);

/// For a recipe's first line: throws Error{usage} if the folder to make exists already or has no name.
void require_new_folder(const std::string& recipe, const std::filesystem::path& out);

}  // namespace alinea
