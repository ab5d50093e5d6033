#include "data/text_dataset.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "engine/core/error.h"
#include "engine/core/files.h"

namespace alinea {

namespace fs = std::filesystem;

bool is_text_corpus(const fs::path& folder) {
  return fs::exists(folder / "subwords.model") || fs::exists(folder / "subwords.src.model") || fs::exists(folder / "sentencepiece.bpe.model");
}

std::string language_code(const Tokenizer& tokenizer, const std::string& language) {
  const std::vector<std::string> known = tokenizer.languages();
  if (known.empty() || language.empty() || std::find(known.begin(), known.end(), language) != known.end()) return known.empty() ? "" : language;
  const auto fits = [&](const std::string& code) { return code.starts_with(language + "_"); };
  if (std::count_if(known.begin(), known.end(), fits) == 1) return *std::find_if(known.begin(), known.end(), fits);
  tokenizer.language(language);                             // complains, with the list
  return language;
}

TextDataset TextDataset::open(const fs::path& folder, const std::string& split, std::shared_ptr<const Tokenizer> tokenizer) {
  require_data(fs::is_directory(folder), "data {}: there is no such folder; prepare the data first (alinea data prepare text … --out {})",
               folder.string(), folder.string());
  require_data(is_text_corpus(folder), "data {}: no subwords.model or sentencepiece.bpe.model: this is no text corpus; alinea data prepare text makes one",
               folder.string());
  TextDataset data(tokenizer ? std::move(tokenizer) : std::shared_ptr<const Tokenizer>(open_tokenizer(folder)));
  data.rows_ = read_text_manifest(folder / (split + ".tsv"));
  for (const TextRow& row : data.rows_) {
    data.source_.push_back(data.tokenizer_->encode(row.src_text, Side::source, language_code(*data.tokenizer_, row.src_lang)));
    data.labels_.push_back(data.tokenizer_->encode(row.tgt_text, Side::target, language_code(*data.tokenizer_, row.tgt_lang)));
  }
  return data;
}

std::vector<int64_t> TextDataset::lengths() const {
  std::vector<int64_t> all;
  for (size_t i = 0; i < rows_.size(); ++i) all.push_back(int64_t(std::max(source_[i].size(), labels_[i].size())));
  return all;
}

SentenceCounts SentenceCounts::count(const std::vector<std::vector<int32_t>>& sentences, int64_t vocabulary) {
  SentenceCounts c{int64_t(sentences.size()), std::vector<int64_t>(size_t(vocabulary), 0)};
  for (std::vector<int32_t> ids : sentences) {
    std::sort(ids.begin(), ids.end());
    ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
    for (const int32_t id : ids) ++c.of[size_t(id)];
  }
  return c;
}

void SentenceCounts::save(const fs::path& path, const Tokenizer& tokenizer, Side side) const {
  std::string text = fmt::format("# {} sentences\n", sentences);
  for (size_t id = 0; id < of.size(); ++id) text += fmt::format("{}\t{}\t{}\n", id, tokenizer.piece(int32_t(id), side), of[id]);
  write_atomically(path, text);
}

SentenceCounts SentenceCounts::load(const fs::path& path) {
  const std::string text = read_file(path);
  const auto lines = split_text(text, '\n');
  const auto number = [&](const std::string& field, size_t line) {
    int64_t value = -1;
    const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), value);
    require_data(error == std::errc() && end == field.data() + field.size() && value >= 0,
                 "{}: line {}: '{}' is not a count; prepare the data again", path.string(), line, field);
    return value;
  };
  require_data(!lines.empty() && lines[0].starts_with("# "), "{}: line 1 is not '# N sentences'; prepare the data again", path.string());
  SentenceCounts c;
  c.sentences = number(split_text(lines[0], ' ')[1], 1);
  for (size_t i = 1; i < lines.size() && !lines[i].empty(); ++i) {
    const auto fields = split_text(lines[i], '\t');
    require_data(fields.size() == 3 && number(fields[0], i + 1) == int64_t(i) - 1,
                 "{}: line {}: expected id {}, piece and count; prepare the data again", path.string(), i + 1, i - 1);
    c.of.push_back(number(fields[2], i + 1));
  }
  return c;
}

}  // namespace alinea
