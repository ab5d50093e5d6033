#include "data/recipes/text.h"

#include <fmt/format.h>
#include <unicode/utf8.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "data/manifest.h"
#include "data/text_dataset.h"
#include "engine/core/error.h"
#include "engine/core/files.h"

namespace alinea {

namespace fs = std::filesystem;

namespace {

std::string read_compressed(const fs::path& path) {
  errno = 0;
  const std::unique_ptr<gzFile_s, int (*)(gzFile)> file(gzopen(path.c_str(), "rb"), gzclose);  // reads plain files as they are
  require_data(file != nullptr && !fs::is_directory(path), "text {}: cannot be opened ({}); check the path", path.string(),
               std::strerror(errno ? errno : EISDIR));
  std::string text, piece(1 << 16, '\0');
  int n;
  while ((n = gzread(file.get(), piece.data(), unsigned(piece.size()))) > 0) text.append(piece, 0, size_t(n));
  int code = Z_OK;
  const char* message = gzerror(file.get(), &code);
  require_data(n == 0 && (code == Z_OK || code == Z_STREAM_END), "text {}: is damaged ({}); fetch it again", path.string(), message);
  return text;
}

bool is_utf8(const std::string& s) {
  const auto length = int32_t(s.size());
  for (int32_t i = 0; i < length;) {
    UChar32 c;
    U8_NEXT(s.data(), i, length, c);
    if (c < 0) return false;
  }
  return true;
}

bool is_blank(const std::string& s) { return s.find_first_not_of(" \t") == std::string::npos; }

struct Side {
  fs::path file;
  std::vector<std::string> lines;
};

struct Pairs {
  Side source, target;
  int64_t size() const { return int64_t(source.lines.size()); }
};

Pairs read_pairs(const fs::path& source, const fs::path& target) {
  Pairs p{{source, read_sentences(source)}, {target, read_sentences(target)}};
  require_data(p.source.lines.size() == p.target.lines.size(),
               "text: {} has {} lines, {} has {}; expected sentence pairs, one a line in each", source.string(), p.source.lines.size(),
               target.string(), p.target.lines.size());
  for (const Side* side : {&p.source, &p.target})
    for (size_t i = 0; i < side->lines.size(); ++i)
      require_data(!is_blank(side->lines[i]), "text {}: line {} is empty; remove the line from both files", side->file.string(), i + 1);
  return p;
}

// The last `count` pairs.
Pairs hold_out(Pairs& from, int64_t count) {
  Pairs last;
  for (const auto& [a, b] : {std::pair{&from.source, &last.source}, {&from.target, &last.target}}) {
    b->file = a->file;
    b->lines.assign(a->lines.end() - count, a->lines.end());
    a->lines.resize(a->lines.size() - size_t(count));
  }
  return last;
}

class TextPreparation {
 public:
  explicit TextPreparation(const TextOptions& options)
      : o_(options), part_(options.out.string() + ".part"), train_(read_pairs(o_.source, o_.target)) {
    const int64_t held = std::clamp<int64_t>(train_.size() / 20, 1, 1000);
    const bool own_dev = !o_.dev_source.empty(), own_test = !o_.test_source.empty();
    require_data(train_.size() > held * (int(!own_dev) + int(!own_test)),
                 "text {}: {} sentences are too few to hold some out; give --dev-source … and --test-source …", o_.source.string(),
                 train_.size());
    test_ = own_test ? read_pairs(o_.test_source, o_.test_target) : hold_out(train_, held);
    dev_ = own_dev ? read_pairs(o_.dev_source, o_.dev_target) : hold_out(train_, held);
  }

  TextSummary run() {
    fs::remove_all(part_);
    fs::create_directories(part_);
    write_split("train", train_);
    write_split("dev", dev_);
    write_split("test", test_);
    const SubwordPair subwords = train_pieces();
    subwords.save(part_);
    save_counts("vocab.src.tsv", train_.source, subwords.source);
    save_counts("vocab.tgt.tsv", train_.target, subwords.target);
    summary_.train = train_.size(), summary_.dev = dev_.size(), summary_.test = test_.size();
    summary_.source_pieces = subwords.source.size(), summary_.target_pieces = subwords.target.size();
    summary_.known = known();
    write_config();
    fs::rename(part_, o_.out);
    return summary_;
  }

 private:
  // A manifest's fields are separated by tabs, so those inside a sentence become spaces, which they are to sentencepiece anyway.
  void write_split(const std::string& name, Pairs& pairs) {
    std::vector<TextRow> rows;
    for (int64_t i = 0; i < pairs.size(); ++i) {
      std::string& source = pairs.source.lines[size_t(i)];
      std::string& target = pairs.target.lines[size_t(i)];
      for (std::string* text : {&source, &target}) {
        if (text->find('\t') == std::string::npos) continue;
        std::replace(text->begin(), text->end(), '\t', ' ');
        ++summary_.tabs;
      }
      rows.push_back({fmt::format("{}-{:06}", name, i), source, target, o_.from, o_.to});
    }
    write_text_manifest(part_ / (name + ".tsv"), rows);
  }

  SubwordPair train_pieces() const {
    if (!o_.joint)
      return {train_subwords(train_.source.lines, o_.subwords, o_.source.string()),
              train_subwords(train_.target.lines, o_.subwords, o_.target.string()), false};
    std::vector<std::string> both = train_.source.lines;
    both.insert(both.end(), train_.target.lines.begin(), train_.target.lines.end());
    const Subwords subwords = train_subwords(both, o_.subwords, o_.source.string() + " and " + o_.target.string());
    return {subwords, subwords, true};
  }

  void save_counts(const char* file, const Side& side, const Subwords& subwords) const {
    std::vector<std::vector<int32_t>> ids;
    for (const std::string& line : side.lines) ids.push_back(subwords.encode(line));
    SentenceCounts::count(ids, subwords.size()).save(part_ / file, subwords);
  }

  int64_t known() const {
    const std::set<std::string> seen(train_.source.lines.begin(), train_.source.lines.end());
    int64_t n = 0;
    for (const Pairs* p : {&dev_, &test_})
      for (const std::string& line : p->source.lines) n += int64_t(seen.count(line));
    return n;
  }

  void write_config() const {
    const nlohmann::ordered_json config = {
        {"recipe", "text"},
        {"from", o_.from},
        {"to", o_.to},
        {"files",
         {{"source", o_.source.string()},
          {"target", o_.target.string()},
          {"dev_source", dev_.source.file.string()},
          {"dev_target", dev_.target.file.string()},
          {"test_source", test_.source.file.string()},
          {"test_target", test_.target.file.string()}}},
        {"train", summary_.train},
        {"dev", summary_.dev},
        {"test", summary_.test},
        {"subwords", {{"model", o_.subwords.model}, {"joint", o_.joint}, {"character_coverage", o_.subwords.character_coverage}}},
        {"source_vocabulary", summary_.source_pieces},
        {"target_vocabulary", summary_.target_pieces},
        {"sentences_with_tabs", summary_.tabs},
        {"dev_and_test_sources_also_in_train", summary_.known},
    };
    write_atomically(part_ / "config.json", config.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  }

  const TextOptions& o_;
  fs::path part_;
  Pairs train_, dev_, test_;
  TextSummary summary_;
};

}  // namespace

std::vector<std::string> read_sentences(const fs::path& path) {
  const std::string text = read_compressed(path);
  require_data(!text.empty(), "text {}: the file is empty; expected one sentence a line", path.string());
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
    std::string& line = lines.back();
    if (!line.empty() && line.back() == '\r') line.pop_back();
    require_data(is_utf8(line), "text {}: line {} is not UTF-8; convert the file (iconv -t UTF-8)", path.string(), lines.size());
    require_data(line.find_first_of(std::string_view("\r\0", 2)) == std::string::npos,
                 "text {}: line {} holds a carriage return or a zero byte; remove it", path.string(), lines.size());
  }
  return lines;
}

TextSummary prepare_text(const TextOptions& options) {
  require(!options.out.empty(), "text: no folder to write to; name one with --out");
  require(!fs::exists(options.out), "text: {} exists already; remove it or choose another --out", options.out.string());
  require(options.dev_source.empty() == options.dev_target.empty(),
          "text: --dev-source and --dev-target belong together; give both or neither");
  require(options.test_source.empty() == options.test_target.empty(),
          "text: --test-source and --test-target belong together; give both or neither");
  return TextPreparation(options).run();
}

}  // namespace alinea
