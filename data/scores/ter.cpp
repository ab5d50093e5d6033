#include "data/scores/ter.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "data/scores/bleu.h"
#include "data/scores/words.h"
#include "engine/core/error.h"

namespace alinea {
namespace {

constexpr int64_t longest_shift = 10, farthest_shift = 50, beam = 25, most_candidates = 1000;
using Words = std::vector<int32_t>;  // numbered, so that comparing them is quick

enum class Edit : uint8_t { none, keep, replace, insert, remove };

// Edit distance of a hypothesis from the reference within a beam around the diagonal, and the edits that turn one into the other.
struct Distance {
  int64_t cost = 0;
  std::vector<Edit> edits;  // insert: a word of the reference; remove: a word of the hypothesis
};

class EditDistance {
 public:
  explicit EditDistance(const Words& reference) : reference_(reference) {}

  Distance operator()(const Words& hypothesis) {
    const int64_t n = int64_t(hypothesis.size()), m = int64_t(reference_.size()), columns = m + 1;
    cells_.assign(size_t((n + 1) * columns), {});
    for (int64_t j = 0; j <= m; ++j) cells_[size_t(j)] = {j, Edit::insert};
    const double ratio = n ? double(m) / double(n) : 1;
    const int64_t width = double(beam) < ratio / 2 ? int64_t(std::ceil(ratio / 2 + double(beam))) : beam;
    for (int64_t i = 1; i <= n; ++i) {
      const int64_t diagonal = int64_t(std::floor(double(i) * ratio));
      const int64_t first = std::max<int64_t>(0, diagonal - width), end = i == n ? columns : std::min(columns, diagonal + width);
      for (int64_t j = first; j < end; ++j) fill(i, j, columns, j > 0 && hypothesis[size_t(i - 1)] == reference_[size_t(j - 1)]);
    }
    return trace(n, m, columns);
  }

 private:
  struct Cell {
    int64_t cost = int64_t(1) << 40;
    Edit edit = Edit::none;
  };

  void fill(int64_t i, int64_t j, int64_t columns, bool equal) {
    Cell& cell = cells_[size_t(i * columns + j)];
    const auto offer = [&](int64_t cost, Edit edit) {
      if (cost < cell.cost) cell = {cost, edit};
    };
    const Cell* above = &cells_[size_t((i - 1) * columns + j)];
    if (j > 0) offer(above[-1].cost + !equal, equal ? Edit::keep : Edit::replace);
    offer(above->cost + 1, Edit::remove);
    if (j > 0) offer((&cell)[-1].cost + 1, Edit::insert);
  }

  Distance trace(int64_t i, int64_t j, int64_t columns) const {
    Distance d{cells_.back().cost, {}};
    while (i > 0 || j > 0) {
      d.edits.push_back(cells_[size_t(i * columns + j)].edit);
      i -= d.edits.back() != Edit::insert;
      j -= d.edits.back() != Edit::remove;
    }
    std::reverse(d.edits.begin(), d.edits.end());
    return d;
  }

  const Words& reference_;
  std::vector<Cell> cells_;
};

// Which word of the hypothesis a word of the reference lies beside, and which words are wrong.
struct Alignment {
  std::vector<int64_t> of_reference;
  std::vector<bool> wrong_reference, wrong_hypothesis;

  explicit Alignment(const std::vector<Edit>& edits) {
    int64_t at = -1;
    for (const Edit edit : edits) {
      const bool wrong = edit != Edit::keep;
      if (edit != Edit::insert) ++at, wrong_hypothesis.push_back(wrong);
      if (edit != Edit::remove) of_reference.push_back(at), wrong_reference.push_back(wrong);
    }
  }
  static bool any(const std::vector<bool>& wrong, int64_t begin, int64_t length) {
    return std::any_of(wrong.begin() + begin, wrong.begin() + begin + length, [](bool w) { return w; });
  }
};

// The words from `start` on, `length` of them, taken out and put in before what was at `target`.
Words shifted(const Words& words, int64_t start, int64_t length, int64_t target) {
  Words out = words;
  const auto at = out.begin();
  if (target < start) std::rotate(at + target, at + start, at + start + length);
  else if (target > start + length) std::rotate(at + start, at + start + length, at + target);
  else std::rotate(at + start, at + start + length, at + std::min<int64_t>(length + target, int64_t(out.size())));
  return out;
}

struct Shift {
  std::tuple<int64_t, int64_t, int64_t, int64_t> rank;  // gain, length, −start, −target: the greatest is made
  Words words;
};

class ShiftSearch {
 public:
  explicit ShiftSearch(const Words& reference) : reference_(reference), distance_(reference) {}

  int64_t edits(Words hypothesis) {
    int64_t shifts = 0;
    for (;; ++shifts) {
      const std::optional<Shift> best = best_shift(hypothesis);
      if (tried_ >= most_candidates || !best || std::get<0>(best->rank) <= 0) break;
      hypothesis = best->words;
    }
    return shifts + distance_(hypothesis).cost;
  }

 private:
  std::optional<Shift> best_shift(const Words& hypothesis) {
    const Distance before = distance_(hypothesis);
    const Alignment alignment(before.edits);
    best_.reset();
    const int64_t n = int64_t(hypothesis.size()), m = int64_t(reference_.size());
    for (int64_t start = 0; start < n; ++start)
      for (int64_t place = std::max<int64_t>(0, start - farthest_shift); place < std::min(m, start + farthest_shift + 1); ++place)
        for (int64_t length = 1; length <= longest_shift && start + length <= n && place + length <= m; ++length) {
          if (hypothesis[size_t(start + length - 1)] != reference_[size_t(place + length - 1)]) break;
          if (!worth_trying(alignment, start, place, length)) continue;
          try_targets(hypothesis, before.cost, alignment, start, place, length);
          if (tried_ >= most_candidates) return best_;
        }
    return best_;
  }

  static bool worth_trying(const Alignment& a, int64_t start, int64_t place, int64_t length) {
    const int64_t now = a.of_reference[size_t(place)];
    return Alignment::any(a.wrong_hypothesis, start, length) && Alignment::any(a.wrong_reference, place, length) && !(now >= start && now < start + length);
  }

  void try_targets(const Words& hypothesis, int64_t cost, const Alignment& alignment, int64_t start, int64_t place, int64_t length) {
    int64_t last = -1;
    for (int64_t at = place - 1; at < place + length && at < int64_t(alignment.of_reference.size()); ++at) {
      const int64_t target = at < 0 ? 0 : alignment.of_reference[size_t(at)] + 1;
      if (target == std::exchange(last, target)) continue;
      Shift shift{{0, length, -start, -target}, shifted(hypothesis, start, length, target)};
      std::get<0>(shift.rank) = cost - distance_(shift.words).cost;
      ++tried_;
      if (!best_ || shift.rank > best_->rank) best_ = std::move(shift);
    }
  }

  const Words& reference_;
  EditDistance distance_;
  std::optional<Shift> best_;
  int64_t tried_ = 0;  // over all shifts of the sentence
};

}  // namespace

int64_t translation_edits(const std::vector<std::string>& hypothesis, const std::vector<std::string>& reference) {
  if (reference.empty()) return int64_t(hypothesis.size());
  std::unordered_map<std::string, int32_t> numbers;
  const auto numbered = [&](const std::vector<std::string>& words) {
    Words ids;
    for (const auto& word : words) ids.push_back(numbers.try_emplace(word, int32_t(numbers.size())).first->second);
    return ids;
  };
  const Words r = numbered(reference);
  return ShiftSearch(r).edits(numbered(hypothesis));
}

TerScore corpus_ter(std::span<const std::string> hypotheses, std::span<const std::vector<std::string>> references, bool case_sensitive) {
  require(!references.empty(), "TER: no references are given; at least one per hypothesis is needed");
  for (const auto& stream : references)
    require(stream.size() == hypotheses.size(), "TER: {} hypotheses but {} references; every line needs its counterpart", hypotheses.size(), stream.size());
  const auto words = [&](const std::string& text) { return split_words(case_sensitive ? text : lower_case(text)); };
  TerScore s;
  for (size_t i = 0; i < hypotheses.size(); ++i) {
    const auto hypothesis = words(hypotheses[i]);
    int64_t fewest = -1, length = 0;
    for (const auto& stream : references) {
      const auto reference = words(stream[i]);
      const int64_t edits = translation_edits(hypothesis, reference);
      if (fewest < 0 || edits < fewest) fewest = edits;
      length += int64_t(reference.size());
    }
    s.edits += fewest;
    s.reference_length += double(length) / double(references.size());
  }
  s.score = s.reference_length > 0 ? 100 * (double(s.edits) / s.reference_length) : s.edits > 0 ? 100 : 0;
  s.signature = fmt::format("nrefs:{}|case:{}|tok:tercom|norm:no|punct:yes|asian:no|version:{}", references.size(), case_sensitive ? "mixed" : "lc", sacrebleu_version);
  return s;
}

std::string TerScore::text() const { return fmt::format("TER|{} = {:.2f}", signature, score); }

}  // namespace alinea
