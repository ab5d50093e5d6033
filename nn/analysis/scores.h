// Attention scores as the analysis sees them: one matrix of one head and one sentence, plain doubles, no tape. The rest of this folder asks
// how little of it has to be stored: a band, columns, diagonal blocks, a sparse residual (Conti 2024, arXiv 2409.00068).
#pragma once
#include <cstdint>
#include <string_view>
#include <vector>

namespace alinea {

/// A = (a_ij) [T, S]: row i is a target position, column j a source position; nothing negative.
struct Scores {
  int64_t rows = 0, columns = 0;                            // T, S
  std::vector<double> values;                               // row-major
  std::vector<int64_t> visible;                             // per row: its mask let it see columns 0 … visible − 1; the others are never stored
  std::vector<int64_t> centre;                              // per row: the column c_i of the diagonal that offsets are counted from

  double at(int64_t i, int64_t j) const { return values[size_t(i * columns + j)]; }
  bool square() const { return rows == columns; }
  int64_t cells() const;                                    // Σ_i visible_i
};

/// Where the diagonal of a matrix that is not square runs: through (i, i), or from corner to corner, c_i = i (S − 1) / (T − 1) rounded.
/// For square matrices they are the same.
enum class Diagonal { index, stretched };

/// The matrix of `values`, checked. visible: of every row; empty: all columns, or, when the matrix is square and everything right of its
/// diagonal is exactly 0, the columns up to the diagonal (a causal head). Error{data}, naming `place`, row and column: no rows or columns,
/// scores that are negative or not finite, scores where nothing is visible, a matrix of zeros.
Scores make_scores(int64_t rows, int64_t columns, std::vector<double> values, std::string_view place, std::vector<int64_t> visible = {},
                   Diagonal diagonal = Diagonal::index);

/// A set of cells (i, j) of a matrix.
class Cells {
 public:
  Cells(int64_t rows, int64_t columns) : columns_(columns), in_(size_t(rows * columns), 0) {}
  bool has(int64_t i, int64_t j) const { return in_[size_t(i * columns_ + j)] != 0; }
  /// Adds a cell, once.
  void add(int64_t i, int64_t j) {
    uint8_t& cell = in_[size_t(i * columns_ + j)];
    count_ += cell == 0;
    cell = 1;
  }
  int64_t count() const { return count_; }

 private:
  int64_t columns_, count_ = 0;
  std::vector<uint8_t> in_;
};

}  // namespace alinea
