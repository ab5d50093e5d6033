#include "data/recipes/text_corpus.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "data/manifest.h"
#include "data/text_dataset.h"
#include "data/tokenizers/mbart.h"
#include "engine/core/error.h"
#include "engine/core/files.h"

namespace alinea {

namespace fs = std::filesystem;

namespace {

class TextWriter {
 public:
  TextWriter(TextCorpus corpus, const TextLayout& layout) : c_(std::move(corpus)), o_(layout), part_(layout.out.string() + ".part") {}

  TextSummary run() {
    fs::remove_all(part_);
    fs::create_directories(part_);
    write_split("train", c_.train);
    write_split("dev", c_.dev);
    write_split("test", c_.test);
    train_pieces();
    const auto tokenizer = open_tokenizer(part_);
    save_counts("vocab.src.tsv", c_.train.source, *tokenizer, Side::source);
    save_counts("vocab.tgt.tsv", c_.train.target, *tokenizer, Side::target);
    summary_.train = c_.train.size(), summary_.dev = c_.dev.size(), summary_.test = c_.test.size();
    summary_.source_pieces = tokenizer->size(Side::source), summary_.target_pieces = tokenizer->size(Side::target);
    summary_.known = known();
    write_config();
    fs::rename(part_, o_.out);
    return summary_;
  }

 private:
  // A manifest's fields are separated by tabs, so those inside a sentence become spaces, which they are to sentencepiece anyway.
  void write_split(const std::string& name, TextPairs& pairs) {
    std::vector<TextRow> rows;
    for (int64_t i = 0; i < pairs.size(); ++i) {
      for (std::string* text : {&pairs.source[size_t(i)], &pairs.target[size_t(i)]}) {
        if (text->find('\t') == std::string::npos) continue;
        std::replace(text->begin(), text->end(), '\t', ' ');
        ++summary_.tabs;
      }
      rows.push_back({fmt::format("{}-{:06}", name, i), pairs.source[size_t(i)], pairs.target[size_t(i)], o_.from, o_.to});
    }
    write_text_manifest(part_ / (name + ".tsv"), rows);
  }

  void train_pieces() const {
    const TextPairs& t = c_.train;
    if (!o_.joint && o_.tokenizer == "plain") {
      SubwordPair{train_subwords(t.source, o_.subwords, t.source_name), train_subwords(t.target, o_.subwords, t.target_name), false}.save(part_);
      return;
    }
    std::vector<std::string> both = t.source;
    both.insert(both.end(), t.target.begin(), t.target.end());
    const std::string place = t.source_name + " and " + t.target_name;
    if (o_.tokenizer != "plain") {
      train_mbart_tokenizer(both, o_.subwords, o_.tokenizer == "mbart50", place, part_);
      return name_languages();
    }
    const Subwords subwords = train_subwords(both, o_.subwords, place);
    SubwordPair{subwords, subwords, true}.save(part_);
  }

  // The corpus's languages become the tokenizer's own.
  void name_languages() const {
    const auto tokenizer = open_tokenizer(part_);
    const fs::path file = part_ / "tokenizer_config.json";
    auto config = nlohmann::ordered_json::parse(read_file(file));
    config["src_lang"] = language_code(*tokenizer, o_.from), config["tgt_lang"] = language_code(*tokenizer, o_.to);
    write_atomically(file, config.dump(2) + "\n");
  }

  void save_counts(const char* file, const std::vector<std::string>& lines, const Tokenizer& tokenizer, Side side) const {
    std::vector<std::vector<int32_t>> ids;
    for (const std::string& line : lines) ids.push_back(tokenizer.encode(line, side));
    SentenceCounts::count(ids, tokenizer.size(side)).save(part_ / file, tokenizer, side);
  }

  int64_t known() const {
    const std::set<std::string> seen(c_.train.source.begin(), c_.train.source.end());
    int64_t n = 0;
    for (const TextPairs* p : {&c_.dev, &c_.test})
      for (const std::string& line : p->source) n += int64_t(seen.count(line));
    return n;
  }

  void write_config() const {
    const nlohmann::ordered_json config = {
        {"recipe", c_.recipe},
        {"from", o_.from},
        {"to", o_.to},
        {"files",
         {{"source", c_.train.source_name},
          {"target", c_.train.target_name},
          {"dev_source", c_.dev.source_name},
          {"dev_target", c_.dev.target_name},
          {"test_source", c_.test.source_name},
          {"test_target", c_.test.target_name}}},
        {"train", summary_.train},
        {"dev", summary_.dev},
        {"test", summary_.test},
        {"subwords", {{"model", o_.subwords.model}, {"tokenizer", o_.tokenizer}, {"joint", o_.joint || o_.tokenizer != "plain"}, {"character_coverage", o_.subwords.character_coverage}}},
        {"source_vocabulary", summary_.source_pieces},
        {"target_vocabulary", summary_.target_pieces},
        {"sentences_with_tabs", summary_.tabs},
        {"dev_and_test_sources_also_in_train", summary_.known},
    };
    write_atomically(part_ / "config.json", config.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }

  TextCorpus c_;
  const TextLayout& o_;
  fs::path part_;
  TextSummary summary_;
};

}  // namespace

void require_new_folder(const std::string& recipe, const fs::path& out) {
  require(!out.empty(), "{}: no folder to write to; name one with --out", recipe);
  require(!fs::exists(out), "{}: {} exists already; remove it or choose another --out", recipe, out.string());
}

TextSummary write_text_corpus(TextCorpus corpus, const TextLayout& layout) {
  require_new_folder(corpus.recipe, layout.out);
  return TextWriter(std::move(corpus), layout).run();
}

}  // namespace alinea
