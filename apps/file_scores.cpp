#include <fmt/format.h>

#include <algorithm>

#include "apps/attention_scores.h"
#include "models/hub/safetensors.h"

namespace alinea {

namespace {

bool is_float(const TensorEntry& e) { return e.dtype == "F32" || e.dtype == "F64" || e.dtype == "F16" || e.dtype == "BF16"; }

std::vector<std::string> wanted_tensors(const SafetensorsFile& file, const FileScores& which) {
  std::vector<std::string> wanted, known;
  for (const auto& e : file.entries()) {
    if (!is_float(e)) continue;
    known.push_back(e.name);
    if (which.tensor.empty() || which.tensor == e.name) wanted.push_back(e.name);
  }
  require_data(!known.empty(), "{}: holds no tensor of floating point numbers; scores are [T, S], [H, T, S] or [B, H, T, S]", which.file.string());
  require(!wanted.empty(), "analyze: {} has no scores called '{}'; it has {}", which.file.string(), which.tensor, fmt::join(known, ", "));
  return wanted;
}

// How many rows or columns of each sentence are real; all of them when the file does not say.
std::vector<int64_t> real_lengths(const SafetensorsFile& file, const FileScores& which, const std::string& side, int64_t B, int64_t size) {
  const std::string name = file.has(side) ? side : "lengths";
  if (!file.has(name)) return std::vector<int64_t>(size_t(B), size);
  const Tensor t = file.load(name, Context::cpu());
  require_data(t.dtype() == DType::i32 || t.dtype() == DType::i64, "{}, tensor '{}': lengths must be i32 or i64", which.file.string(), name);
  require_data(t.rank() == 1 && t.count() == B, "{}, tensor '{}': is {}, one length for each of {} sentences is needed", which.file.string(), name, t.shape(), B);
  std::vector<int64_t> lengths = t.values<int64_t>();
  for (const int64_t n : lengths)
    require_data(n >= 1 && n <= size, "{}, tensor '{}': a length is {}, the scores hold {}", which.file.string(), name, n, size);
  return lengths;
}

void add_tensor(std::vector<HeadScores>& heads, const SafetensorsFile& file, const std::string& name, const FileScores& which) {
  const std::string place = fmt::format("{}, tensor '{}'", which.file.string(), name);
  const Tensor t = file.load(name, Context::cpu());
  require_data(t.rank() >= 2 && t.rank() <= 4, "{}: is {}; scores are [T, S], [H, T, S] or [B, H, T, S]; --tensor NAME chooses one", place, t.shape());
  require_data(t.count() > 0, "{}: is {}, which is empty", place, t.shape());
  const int64_t B = t.rank() == 4 ? t.size(0) : 1, H = t.rank() >= 3 ? t.size(-3) : 1, T = t.size(-2), S = t.size(-1);
  require(which.head <= H, "analyze: {} has {} heads, there is no head {}", place, H, which.head);
  const auto rows = real_lengths(file, which, "target_lengths", B, T), columns = real_lengths(file, which, "source_lengths", B, S);
  const std::vector<double> all = t.values<double>();
  for (int64_t h = 0; h < H; ++h) {
    if (which.head != 0 && which.head != h + 1) continue;
    HeadScores head{.name = t.rank() == 2 ? name : fmt::format("{}, head {}", name, h + 1), .family = {}, .head = h + 1, .positions = {}, .scores = {}};
    for (int64_t b = 0; b < B; ++b) {
      const std::string where = fmt::format("{}{}{}", place, t.rank() == 4 ? fmt::format(", sentence {}", b) : "", t.rank() >= 3 ? fmt::format(", head {}", h + 1) : "");
      std::vector<double> values;
      for (int64_t i = 0; i < rows[size_t(b)]; ++i) {
        const auto row = all.begin() + ((b * H + h) * T + i) * S;
        values.insert(values.end(), row, row + columns[size_t(b)]);
      }
      head.scores.push_back(make_scores(rows[size_t(b)], columns[size_t(b)], std::move(values), where, {}, which.diagonal));
      head.positions.push_back(std::make_shared<SentencePositions>(SentencePositions{.id = std::to_string(b)}));
    }
    heads.push_back(std::move(head));
  }
}

}  // namespace

ScoreSet file_scores(const FileScores& which) {
  const SafetensorsFile file(which.file);
  ScoreSet set{.source = which.file.string(), .block = "scores", .heads = {}, .diagonal = which.diagonal};
  for (const std::string& name : wanted_tensors(file, which)) add_tensor(set.heads, file, name, which);
  return set;
}

}  // namespace alinea
