#include "data/manifest.h"

#include <charconv>
#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include <fmt/format.h>

#include "engine/core/error.h"

namespace alinea {
namespace {

template <class T>
T number(std::string_view text, const std::string& place) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require_data(error == std::errc() && end == text.data() + text.size() && value >= 0, "{}: '{}' is not a number ≥ 0; correct it", place, text);
  return value;
}

std::vector<std::pair<float, float>> parse_spans(std::string_view text, const std::string& place) {
  std::vector<std::pair<float, float>> spans;
  for (const std::string& span : split_text(text, ',')) {
    const size_t dash = span.find('-');
    require_data(dash != std::string::npos, "{}: word span '{}' is not of the form BEGIN-END in seconds; correct it", place, span);
    spans.emplace_back(number<float>(std::string_view(span).substr(0, dash), place), number<float>(std::string_view(span).substr(dash + 1), place));
    require_data(std::isfinite(spans.back().second) && spans.back().first <= spans.back().second, "{}: word span '{}' ends before it begins; correct it",
                 place, span);
  }
  return spans;
}

/// One line of a manifest: its fields by the name of their column ("" for a column that is not there).
struct Line {
  const std::map<std::string, size_t>& columns;
  std::vector<std::string> fields;
  std::string place;
  std::string operator()(const char* name) const {
    const auto found = columns.find(name);
    return found == columns.end() ? "" : fields[found->second];
  }
};

ManifestRow parse_row(const Line& field) {
  const std::string& place = field.place;
  ManifestRow row;
  row.id = field("id"), row.audio = field("audio"), row.n_frames = number<int64_t>(field("n_frames"), place + ", n_frames");
  row.tgt_text = field("tgt_text"), row.speaker = field("speaker"), row.src_text = field("src_text");
  row.src_lang = field("src_lang"), row.tgt_lang = field("tgt_lang"), row.kind = field("kind");
  row.words = split_text(field("words"), ','), row.keys = split_text(field("keys"), ',');
  row.word_spans = parse_spans(field("word_spans"), place + ", word_spans");
  require_data(!row.id.empty() && !row.audio.empty(), "{}: id or audio is empty; complete the row or remove it", place);
  require_data(row.word_spans.empty() || row.word_spans.size() == row.words.size(), "{}: {} words but {} word spans; expected as many", place,
               row.words.size(), row.word_spans.size());
  return row;
}

}  // namespace

std::vector<std::string> split_text(std::string_view text, char separator) {
  std::vector<std::string> parts;
  if (text.empty()) return parts;
  for (size_t begin = 0;;) {
    const size_t end = text.find(separator, begin);
    parts.emplace_back(text.substr(begin, end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::string join_text(const std::vector<std::string>& parts, std::string_view separator) { return fmt::format("{}", fmt::join(parts, separator)); }

namespace {

/// Calls f for every line behind the header.
template <class F>
void read_lines_of(const std::filesystem::path& path, const std::vector<std::string>& needed, F&& f) {
  std::ifstream file(path);
  const std::string columns_needed = join_text(needed, ", ");
  require_data(file.good(), "manifest {}: cannot be opened; check the path, or prepare the data", path.string());
  std::string line;
  require_data(bool(std::getline(file, line)), "manifest {}: is empty; expected a header line: {}, …", path.string(), columns_needed);
  const auto clean = [](std::string& text) {
    if (!text.empty() && text.back() == '\r') text.pop_back();
  };
  clean(line);
  std::map<std::string, size_t> columns;
  const auto header = split_text(line, '\t');
  for (size_t i = 0; i < header.size(); ++i) columns[header[i]] = i;
  for (const std::string& name : needed)
    require_data(columns.count(name), "manifest {}: line 1: no column '{}'; expected a tab-separated header with {}", path.string(), name, columns_needed);
  std::set<std::string> ids;
  for (int64_t number = 2; std::getline(file, line); ++number) {
    clean(line);
    const Line row{columns, split_text(line, '\t'), fmt::format("manifest {}: line {}", path.string(), number)};
    require_data(row.fields.size() == header.size(), "{}: {} fields; the header has {}: separate them by single tabs", row.place, row.fields.size(), header.size());
    f(row);
    require_data(ids.insert(row("id")).second, "{}: the id '{}' occurs twice; give each row its own", row.place, row("id"));
  }
  require_data(!ids.empty(), "manifest {}: no rows; prepare the data again", path.string());
}

/// Writes lines under a temporary name first.
class ManifestWriter {
 public:
  ManifestWriter(const std::filesystem::path& path, std::string_view header) : path_(path), file_(path.string() + ".part") { file_ << header << '\n'; }
  void add(const std::string& id, const std::vector<std::string>& fields) {
    for (const std::string& field : fields)
      require_data(field.find_first_of("\t\n\r") == std::string::npos, "manifest {}: row '{}': a field holds a tab or a line break: '{}'; remove it",
                   path_.string(), id, field);
    file_ << join_text(fields, "\t") << '\n';
  }
  void finish() {
    file_.close();
    if (!file_.good()) fail(Exit::failed, "manifest {}: could not be written; is the disk full?", path_.string());
    std::filesystem::rename(path_.string() + ".part", path_);
  }

 private:
  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace

std::vector<ManifestRow> read_manifest(const std::filesystem::path& path) {
  std::vector<ManifestRow> rows;
  read_lines_of(path, {"id", "audio", "n_frames", "tgt_text"}, [&](const Line& line) { rows.push_back(parse_row(line)); });
  return rows;
}

void write_manifest(const std::filesystem::path& path, const std::vector<ManifestRow>& rows) {
  ManifestWriter writer(path, "id\taudio\tn_frames\ttgt_text\tspeaker\tsrc_text\tsrc_lang\ttgt_lang\tkind\twords\tword_spans\tword_ends\tkeys");
  for (const ManifestRow& row : rows) {
    std::vector<std::string> spans, ends;
    for (const auto& [begin, end] : row.word_spans) spans.push_back(fmt::format("{:.5f}-{:.5f}", begin, end)), ends.push_back(fmt::format("{:.5f}", end));
    writer.add(row.id, {row.id, row.audio, std::to_string(row.n_frames), row.tgt_text, row.speaker, row.src_text, row.src_lang, row.tgt_lang, row.kind,
                        join_text(row.words, ","), join_text(spans, ","), join_text(ends, ","), join_text(row.keys, ",")});
  }
  writer.finish();
}

std::vector<TextRow> read_text_manifest(const std::filesystem::path& path) {
  std::vector<TextRow> rows;
  read_lines_of(path, {"id", "src_text", "tgt_text"}, [&](const Line& line) {
    rows.push_back({line("id"), line("src_text"), line("tgt_text"), line("src_lang"), line("tgt_lang")});
    require_data(!rows.back().src_text.empty() && !rows.back().tgt_text.empty(), "{}: a sentence is empty; complete the row or remove it", line.place);
  });
  return rows;
}

void write_text_manifest(const std::filesystem::path& path, const std::vector<TextRow>& rows) {
  ManifestWriter writer(path, "id\tsrc_text\ttgt_text\tsrc_lang\ttgt_lang");
  for (const TextRow& row : rows) writer.add(row.id, {row.id, row.src_text, row.tgt_text, row.src_lang, row.tgt_lang});
  writer.finish();
}

}  // namespace alinea
