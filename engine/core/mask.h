// Which source columns a target row may see. Every rule is a prefix: row i of item b sees columns j < visible(b, i, S).
// A picture (rows down, columns right, # = seen), 4 rows, 6 columns:
//   all ######   causal #.....   staircase k=1, ratio 2 ##....   chunk 2 ##....   given {1,1,4,6} #.....
//       ######          ##....                          ####..           ##....                  #.....
//       ######          ###...                          ######           ####..                  ####..
//       ######          ####..                          ######           ####..                  ######
#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/error.h"

namespace alinea {

struct Mask {
  enum class Rule { all, causal, staircase, chunk, given } rule = Rule::all;
  std::vector<int32_t> source_lengths, target_lengths;      // per item; empty = none padded. Rows past target_lengths give zeros
  int64_t first_row = 0;                                    // absolute index of row 0: a decoding step, a chunk (top-left causal for T ≠ S)
  int64_t wait_k = 1, ratio = 1;                            // staircase (wait-k): row i sees (first_row + i + wait_k) · ratio columns
  int64_t chunk = 1;                                        // chunk: row i sees all columns up to the end of its own chunk
  std::vector<int32_t> written_at;                          // given: [B, T] columns that each row may see, non-decreasing in a row's index
  int64_t rows = 0;                                         // given: T

  static Mask causal(int64_t first_row = 0) { return Mask{.rule = Rule::causal, .first_row = first_row}; }

  /// Columns 0 … visible-1 that row `row` of item `item` sees, of `columns` in the tensor.
  int64_t visible(int64_t item, int64_t row, int64_t columns) const {
    const int64_t real = source_lengths.empty() ? columns : std::min<int64_t>(source_lengths[size_t(item)], columns);
    if (!target_lengths.empty() && row >= target_lengths[size_t(item)]) return 0;
    return under(rule, first_row + row, real, wait_k, ratio, chunk, rule == Rule::given ? written_at[size_t(item * rows + row)] : 0);
  }
  /// The rules alone: position i of an item with `real` columns. constexpr also lets GPU code call it.
  static constexpr int64_t under(Rule rule, int64_t i, int64_t real, int64_t wait_k, int64_t ratio, int64_t chunk, int64_t written) {
    switch (rule) {
      case Rule::all: return real;
      case Rule::causal: return std::min(i + 1, real);
      case Rule::staircase: return std::clamp<int64_t>((i + wait_k) * ratio, 0, real);
      case Rule::chunk: return std::min((i / chunk + 1) * chunk, real);
      case Rule::given: return std::clamp<int64_t>(written, 0, real);
    }
    return real;
  }

  /// Sizes must fit a batch of B items, T rows and S columns; `op` names the caller in the error.
  void check(std::string_view op, int64_t B, int64_t T, int64_t S) const {
    require(source_lengths.empty() || int64_t(source_lengths.size()) == B, "{}: {} source lengths for a batch of {}", op, source_lengths.size(), B);
    require(target_lengths.empty() || int64_t(target_lengths.size()) == B, "{}: {} target lengths for a batch of {}", op, target_lengths.size(), B);
    for (const int32_t n : source_lengths) require(n >= 0 && n <= S, "{}: a source length is {}, the tensor has {} columns", op, n, S);
    for (const int32_t n : target_lengths) require(n >= 0 && n <= T, "{}: a target length is {}, the tensor has {} rows", op, n, T);
    require(rule != Rule::given || (rows == T && int64_t(written_at.size()) == B * T), "{}: write times are given for {} values, {} x {} are needed", op,
            written_at.size(), B, T);
    require(chunk >= 1 && ratio >= 1, "{}: chunk {} and ratio {} must be at least 1", op, chunk, ratio);
  }

  std::string describe() const {
    static const char* names[] = {"all", "causal", "staircase", "chunk", "given"};
    std::string s = names[int(rule)];
    if (rule == Rule::staircase) s += fmt::format(" (k {}, ratio {})", wait_k, ratio);
    if (rule == Rule::chunk) s += fmt::format(" ({})", chunk);
    if (!source_lengths.empty()) s += " + source lengths";
    if (!target_lengths.empty()) s += " + target lengths";
    return s;
  }
};

}  // namespace alinea
