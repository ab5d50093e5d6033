#include "engine/ops/structured_pattern.h"

#include <cmath>
#include <functional>
#include <numeric>
#include <set>
#include <unordered_set>

namespace alinea {

namespace {

using Interval = StructuredPattern::Interval;

Interval block_around(const std::vector<int64_t>& ends, int64_t position) {
  const auto end = std::upper_bound(ends.begin(), ends.end(), position);
  if (end == ends.end()) return {position, position + 1};    // past the last block: the diagonal alone
  return {end == ends.begin() ? 0 : *(end - 1), *end};
}

bool contains(std::span<const int32_t> sorted, int64_t x) { return std::binary_search(sorted.begin(), sorted.end(), int32_t(x)); }

bool ascends(const std::vector<int64_t>& v) { return std::adjacent_find(v.begin(), v.end(), std::greater_equal<>()) == v.end(); }

// Positions that may become columns, in order: real rarity, and with tokens only the first of each.
template <class F>
void each_candidate(std::span<const double> rarity, std::span<const int64_t> tokens, F&& f) {
  require(tokens.empty() || tokens.size() == rarity.size(), "columns: {} token ids for {} rarities", tokens.size(), rarity.size());
  std::unordered_set<int64_t> seen;
  for (size_t i = 0; i < rarity.size(); ++i) {
    require(!std::isnan(rarity[i]), "columns: the rarity of position {} is not a number", i);
    if (rarity[i] == -INFINITY || (!tokens.empty() && !seen.insert(tokens[i]).second)) continue;
    f(int32_t(i));
  }
}

// Rarest first, then the lower position.
struct Rarer {
  std::span<const double> rarity;
  bool operator()(int32_t a, int32_t b) const { return rarity[size_t(a)] != rarity[size_t(b)] ? rarity[size_t(a)] > rarity[size_t(b)] : a < b; }
};

std::vector<int32_t> ascending(std::vector<int32_t> v) {
  std::sort(v.begin(), v.end());
  v.erase(std::unique(v.begin(), v.end()), v.end());
  return v;
}

}  // namespace

std::vector<int64_t> ends_of(std::span<const int64_t> lengths) {
  std::vector<int64_t> ends(lengths.size());
  std::partial_sum(lengths.begin(), lengths.end(), ends.begin());
  return ends;
}

int64_t StructuredPattern::widest() const {
  int64_t w = 0;
  for (const HeadPattern& h : heads) w = std::max(w, h.half_width);
  return w;
}

bool StructuredPattern::is_global(int64_t h, int64_t row) const {
  const auto& rows = head(h).global_rows;
  return !rows.empty() && std::binary_search(rows.begin(), rows.end(), mask.first_row + row);
}

Interval StructuredPattern::around(int64_t h, int64_t row) const {
  const HeadPattern& p = head(h);
  const int64_t i = mask.first_row + row;
  const Interval band{i - p.half_width, i + p.half_width + 1};
  if (p.block_ends.empty()) return band;
  const Interval block = block_around(p.block_ends, i);
  return {std::min(band.begin, block.begin), std::max(band.end, block.end)};
}

Interval StructuredPattern::near(int64_t item, int64_t h, int64_t row, int64_t S) const {
  const int64_t visible = mask.visible(item, row, S);
  if (is_global(h, row)) return {0, visible};
  const Interval v = around(h, row);
  return {std::clamp<int64_t>(v.begin, 0, visible), std::min(v.end, visible)};
}

std::span<const int32_t> StructuredPattern::run(int64_t item, int64_t h, int64_t row) const {
  if (columns.empty() || !head(h).columns) return {};
  const ColumnRuns& runs = columns[size_t(item)];
  const int64_t i = mask.first_row + row;
  const auto next = std::upper_bound(runs.begin(), runs.end(), i, [](int64_t i, const ColumnRun& r) { return i < r.first_row; });
  if (next == runs.begin()) return {};
  return (next - 1)->columns;
}

bool StructuredPattern::reads_column(int64_t item, int64_t h, int64_t row, int64_t column, Interval near, int64_t S) const {
  const int64_t extent = head(h).column_extent, distance = std::abs(mask.first_row + row - column);
  return !near.holds(column) && (extent < 0 || distance <= extent) && column < mask.visible(item, row, S);
}

void StructuredPattern::random_keys(int64_t item, int64_t h, int64_t row, Interval near, int64_t S, std::vector<int32_t>& keys) const {
  keys.clear();
  const int64_t draws = head(h).random_keys, visible = mask.visible(item, row, S);
  if (draws == 0 || visible == 0 || near.size() == visible) return;
  Draw draw(key.child(uint64_t(h)).child(uint64_t(mask.first_row + row)));
  const auto own = run(item, h, row);
  for (int64_t n = 0; n < draws; ++n) {
    const int64_t j = draw.integer(0, visible - 1);
    if (!near.holds(j) && !(contains(own, j) && reads_column(item, h, row, j, near, S))) keys.push_back(int32_t(j));
  }
  keys = ascending(std::move(keys));
}

std::vector<int32_t> StructuredPattern::keys(int64_t item, int64_t h, int64_t row, int64_t S) const {
  const Interval v = near(item, h, row, S);
  std::vector<int32_t> all;
  random_keys(item, h, row, v, S, all);
  for (const int32_t c : run(item, h, row))
    if (reads_column(item, h, row, c, v, S)) all.push_back(c);
  for (int64_t j = v.begin; j < v.end; ++j) all.push_back(int32_t(j));
  return ascending(std::move(all));
}

int64_t StructuredPattern::pairs(int64_t item, int64_t h, int64_t T, int64_t S) const {
  int64_t total = 0;
  std::vector<int32_t> extra;
  for (int64_t row = 0; row < T; ++row) {
    const Interval v = near(item, h, row, S);
    random_keys(item, h, row, v, S, extra);
    total += v.size() + int64_t(extra.size());
    for (const int32_t c : run(item, h, row)) total += reads_column(item, h, row, c, v, S);
  }
  return total;
}

int64_t StructuredPattern::band_pairs(int64_t n, int64_t w, bool causal) {
  if (n == 0) return 0;
  w = std::min(w, n - 1);
  return causal ? (n - w) * (w + 1) + w * (w + 1) / 2 : n * (2 * w + 1) - w * (w + 1);
}

void StructuredPattern::check(std::string_view op, int64_t B, int64_t H, int64_t T, int64_t S) const {
  mask.check(op, B, T, S);
  require(mask.rule == Mask::Rule::all || mask.rule == Mask::Rule::causal,
          "{}: the mask is '{}'; a band around the diagonal knows 'all' and 'causal', choose another attention family for this mask", op, mask.describe());
  require(int64_t(heads.size()) == 1 || int64_t(heads.size()) == H, "{}: patterns are given for {} heads, q has {}; give one or one per head", op, heads.size(), H);
  require(columns.empty() || int64_t(columns.size()) == B, "{}: columns are given for {} items of a batch of {}", op, columns.size(), B);
  for (const HeadPattern& p : heads) {
    require(p.half_width >= 0 && p.random_keys >= 0 && p.column_extent >= -1,
            "{}: half width {}, random keys {} and column extent {} must be at least 0 (the extent may be -1: all rows)", op, p.half_width, p.random_keys,
            p.column_extent);
    require(ascends(p.global_rows) && ascends(p.block_ends) && (p.block_ends.empty() || p.block_ends[0] > 0),
            "{}: global rows and the ends of blocks must ascend, and no block may be empty", op);
  }
  for (const ColumnRuns& runs : columns)
    for (size_t r = 0; r < runs.size(); ++r) {
      const auto& c = runs[r].columns;
      require(r == 0 || runs[r].first_row > runs[r - 1].first_row, "{}: runs of columns must begin at ascending rows", op);
      for (size_t k = 0; k < c.size(); ++k)
        require(c[k] >= 0 && c[k] < S && (k == 0 || c[k] > c[k - 1]), "{}: column {} is out of order or not one of {} keys; columns are ascending and distinct", op,
                c[k], S);
    }
}

std::vector<ColumnRuns> fixed_columns(std::span<const int64_t> columns, int64_t B) {
  std::vector<ColumnRuns> all;
  const int64_t r = B == 0 ? 0 : int64_t(columns.size()) / B;
  for (int64_t b = 0; b < B; ++b) {
    std::vector<int32_t> own;
    for (const int64_t c : columns.subspan(size_t(b * r), size_t(r)))
      if (c >= 0) own.push_back(int32_t(c));
    all.push_back({{0, ascending(std::move(own))}});
  }
  return all;
}

ColumnRuns top_columns(std::span<const double> rarity, int64_t r, std::span<const int64_t> tokens) {
  std::vector<int32_t> all;
  each_candidate(rarity, tokens, [&](int32_t i) { all.push_back(i); });
  const auto count = size_t(std::min<int64_t>(r, int64_t(all.size())));
  std::partial_sort(all.begin(), all.begin() + int64_t(count), all.end(), Rarer{rarity});
  all.resize(count);
  if (all.empty()) return {};
  return {{0, ascending(std::move(all))}};
}

ColumnRuns prefix_columns(std::span<const double> rarity, int64_t r, std::span<const int64_t> tokens) {
  ColumnRuns runs;
  std::set<int32_t, Rarer> best(Rarer{rarity});
  each_candidate(rarity, tokens, [&](int32_t i) {
    if (r == 0) return;
    if (int64_t(best.size()) == r) {
      if (!Rarer{rarity}(i, *best.rbegin())) return;
      best.erase(std::prev(best.end()));
    }
    best.insert(i);
    runs.push_back({i, ascending({best.begin(), best.end()})});
  });
  return runs;
}

std::vector<ColumnRuns> rare_columns(std::span<const double> rarity, int64_t B, const std::vector<int32_t>& lengths, int64_t r, bool causal,
                                     std::span<const int64_t> tokens) {
  require(B > 0 && int64_t(rarity.size()) % B == 0 && (tokens.empty() || tokens.size() == rarity.size()) && (lengths.empty() || int64_t(lengths.size()) == B),
          "columns: {} rarities, {} token ids and {} lengths for a batch of {}", rarity.size(), tokens.size(), lengths.size(), B);
  const int64_t S = int64_t(rarity.size()) / B;
  std::vector<ColumnRuns> all;
  for (int64_t b = 0; b < B; ++b) {
    const auto n = size_t(lengths.empty() ? S : std::min<int64_t>(S, lengths[size_t(b)]));
    const auto own = rarity.subspan(size_t(b * S), n);
    const auto ids = tokens.empty() ? tokens : tokens.subspan(size_t(b * S), n);
    all.push_back(causal ? prefix_columns(own, r, ids) : top_columns(own, r, ids));
  }
  return all;
}

}  // namespace alinea
