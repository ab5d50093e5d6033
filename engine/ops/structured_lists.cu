#include "engine/ops/structured_lists.h"

#include <limits>

#include "engine/core/cuda_upload.cuh"

namespace alinea::cuda {

namespace {

using Lists = std::vector<std::vector<int32_t>>;

int32_t narrow(int64_t x) { return int32_t(std::clamp<int64_t>(x, std::numeric_limits<int32_t>::min(), std::numeric_limits<int32_t>::max())); }

}  // namespace

StructuredLists::StructuredLists(const StructuredCall& call, Context& context) {
  const StructuredPattern& pattern = call.pattern;
  view_.B = call.v.size(0), view_.H = call.v.size(1), view_.T = call.rows, view_.S = call.v.size(2);
  view_.first_row = pattern.mask.first_row, view_.patterns = int64_t(pattern.heads.size()), view_.widest = pattern.widest();
  add_heads(pattern);
  if (!pattern.columns.empty()) add_columns(pattern);
  if (std::any_of(pattern.heads.begin(), pattern.heads.end(), [](const HeadPattern& p) { return p.random_keys > 0; })) add_random(pattern);
  if (call.residual) add_entries(call);
  memory_ = upload(context, numbers_);
  for (const auto& [pointer, at] : places_) *pointer = memory_.data<int32_t>() + at;
  numbers_ = {}, places_ = {};
}

void StructuredLists::put(const int32_t*& where, const std::vector<int32_t>& numbers) {
  places_.emplace_back(&where, numbers_.size());
  numbers_.insert(numbers_.end(), numbers.begin(), numbers.end());
}

void StructuredLists::put(ListView& where, const std::vector<std::vector<int32_t>>& lists) {
  std::vector<int32_t> begin{0}, values;
  for (const auto& list : lists) values.insert(values.end(), list.begin(), list.end()), begin.push_back(narrow(int64_t(values.size())));
  require(std::ssize(values) <= std::numeric_limits<int32_t>::max(), "structured_attention: {} pairs of a row and a key in one list; a GPU takes 2^31 - 1, use a smaller batch", values.size());
  put(where.begin, begin);
  put(where.values, values);
}

void StructuredLists::add_heads(const StructuredPattern& pattern) {
  const int64_t T = view_.T, S = view_.S;
  std::vector<int32_t> half_width, extent, reads_columns, near_begin, near_end, row_begin, row_end;
  Lists globals;
  for (int64_t h = 0; h < view_.patterns; ++h) {
    const HeadPattern& p = pattern.head(h);
    half_width.push_back(narrow(p.half_width)), extent.push_back(narrow(p.column_extent)), reads_columns.push_back(p.columns);
    auto& global = globals.emplace_back();
    std::vector<int32_t> first(size_t(S), narrow(T)), last(size_t(S), 0);
    for (int64_t i = 0; i < T; ++i) {
      if (pattern.is_global(h, i)) {
        global.push_back(narrow(i)), near_begin.push_back(0), near_end.push_back(std::numeric_limits<int32_t>::max());
        continue;
      }
      const auto v = pattern.around(h, i);
      near_begin.push_back(narrow(v.begin)), near_end.push_back(narrow(v.end));
      for (int64_t j = std::clamp<int64_t>(v.begin, 0, S); j < std::clamp<int64_t>(v.end, 0, S); ++j) first[size_t(j)] = std::min(first[size_t(j)], narrow(i)), last[size_t(j)] = narrow(i + 1);
    }
    row_begin.insert(row_begin.end(), first.begin(), first.end()), row_end.insert(row_end.end(), last.begin(), last.end());
  }
  put(view_.half_width, half_width), put(view_.extent, extent), put(view_.reads_columns, reads_columns);
  put(view_.near_begin, near_begin), put(view_.near_end, near_end), put(view_.row_begin, row_begin), put(view_.row_end, row_end);
  put(view_.globals, globals);
}

void StructuredLists::add_columns(const StructuredPattern& pattern) {
  std::vector<int32_t> run_of_row, first, last;
  Lists runs, runs_of_key(size_t(view_.B * view_.S));
  for (int64_t b = 0; b < view_.B; ++b) {
    const ColumnRuns& own = pattern.columns[size_t(b)];
    std::vector<int32_t> of_row(size_t(view_.T), -1);
    for (size_t r = 0; r < own.size(); ++r) {
      const int64_t begin = std::clamp<int64_t>(own[r].first_row - view_.first_row, 0, view_.T);
      const int64_t end = r + 1 < own.size() ? std::clamp<int64_t>(own[r + 1].first_row - view_.first_row, 0, view_.T) : view_.T;
      std::fill(of_row.begin() + begin, of_row.begin() + end, narrow(int64_t(runs.size())));
      for (const int32_t j : own[r].columns) runs_of_key[size_t(b * view_.S + j)].push_back(narrow(int64_t(runs.size())));
      first.push_back(narrow(begin)), last.push_back(narrow(end)), runs.push_back(own[r].columns);
    }
    run_of_row.insert(run_of_row.end(), of_row.begin(), of_row.end());
  }
  put(view_.run_of_row, run_of_row), put(view_.run_first, first), put(view_.run_last, last);
  put(view_.runs, runs), put(view_.runs_of_key, runs_of_key);
}

void StructuredLists::add_random(const StructuredPattern& pattern) {
  Lists keys, rows(size_t(view_.B * view_.H * view_.S));
  for (int64_t unit = 0; unit < view_.B * view_.H; ++unit)
    for (int64_t i = 0; i < view_.T; ++i) {
      const int64_t item = unit / view_.H, head = unit % view_.H;
      auto& own = keys.emplace_back();
      pattern.random_keys(item, head, i, pattern.near(item, head, i, view_.S), view_.S, own);
      for (const int32_t j : own) rows[size_t(unit * view_.S + j)].push_back(narrow(i));
    }
  put(view_.random, keys), put(view_.random_rows, rows);
}

void StructuredLists::add_entries(const StructuredCall& call) {
  std::vector<int32_t> row, key;
  Lists of_row(size_t(view_.H * view_.T)), of_key(size_t(view_.H * view_.S));
  view_.entry_count = call.residual.size(1);
  for (int64_t h = 0; h < view_.H; ++h)
    for (const ResidualEntry& e : call.entries[size_t(h)]) {   // index by index
      const int64_t i = e.row - view_.first_row;
      const bool inside = i >= 0 && i < view_.T && e.column < view_.S;
      row.push_back(inside ? narrow(i) : -1), key.push_back(inside ? narrow(e.column) : -1);
      if (!inside) continue;
      of_row[size_t(h * view_.T + i)].push_back(narrow(e.index)), of_key[size_t(h * view_.S + e.column)].push_back(narrow(e.index));
    }
  put(view_.entry_row, row), put(view_.entry_key, key);
  put(view_.entries, of_row), put(view_.entries_of_key, of_key);
}

}  // namespace alinea::cuda
