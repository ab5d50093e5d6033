#include "data/recipes/text.h"

#include <unicode/utf8.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>

#include "engine/core/error.h"

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

TextPairs read_pairs(const fs::path& source, const fs::path& target) {
  TextPairs p{source.string(), target.string(), read_sentences(source), read_sentences(target)};
  require_data(p.source.size() == p.target.size(), "text: {} has {} lines, {} has {}; expected sentence pairs, one a line in each", p.source_name,
               p.source.size(), p.target_name, p.target.size());
  for (const auto& [file, lines] : {std::pair{&p.source_name, &p.source}, {&p.target_name, &p.target}})
    for (size_t i = 0; i < lines->size(); ++i)
      require_data(!is_blank((*lines)[i]), "text {}: line {} is empty; remove the line from both files", *file, i + 1);
  return p;
}

// The last `count` pairs.
TextPairs hold_out(TextPairs& from, int64_t count) {
  TextPairs last{from.source_name, from.target_name, {}, {}};
  for (const auto& [a, b] : {std::pair{&from.source, &last.source}, {&from.target, &last.target}}) {
    b->assign(a->end() - count, a->end());
    a->resize(a->size() - size_t(count));
  }
  return last;
}

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

TextSummary prepare_text(const TextOptions& o) {
  require_new_folder("text", o.out);
  require(o.dev_source.empty() == o.dev_target.empty(), "text: --dev-source and --dev-target belong together; give both or neither");
  require(o.test_source.empty() == o.test_target.empty(), "text: --test-source and --test-target belong together; give both or neither");
  TextCorpus c{.recipe = "text", .train = read_pairs(o.source, o.target), .dev = {}, .test = {}};
  const int64_t held = std::clamp<int64_t>(c.train.size() / 20, 1, 1000);
  const bool own_dev = !o.dev_source.empty(), own_test = !o.test_source.empty();
  require_data(c.train.size() > held * (int(!own_dev) + int(!own_test)),
               "text {}: {} sentences are too few to hold some out; give --dev-source … and --test-source …", o.source.string(), c.train.size());
  c.test = own_test ? read_pairs(o.test_source, o.test_target) : hold_out(c.train, held);
  c.dev = own_dev ? read_pairs(o.dev_source, o.dev_target) : hold_out(c.train, held);
  return write_text_corpus(std::move(c), o);
}

}  // namespace alinea
