#include "engine/ops/monotonic_reference.h"

#include <algorithm>
#include <cmath>

namespace alinea::reference {

namespace {

template <class T>
T write(const std::vector<T>& z, int64_t i, int64_t j, int64_t S) {
  return j == S - 1 ? T(1) : T(1) / (T(1) + std::exp(-z[size_t(i * S + j)]));
}
template <class T>
T read(const std::vector<T>& z, int64_t i, int64_t j, int64_t S) {
  return j == S - 1 ? T(0) : T(1) / (T(1) + std::exp(z[size_t(i * S + j)]));
}
// The row before the first: nothing has been read, the reader stands at column 0.
template <class T>
std::vector<T> one_hot(int64_t S) {
  std::vector<T> row(size_t(S), T(0));
  row[0] = 1;
  return row;
}

}  // namespace

template <class T>
std::vector<T> alpha_by_definition(const std::vector<T>& z, int64_t rows, int64_t S) {
  std::vector<T> alpha(size_t(rows * S)), before = one_hot<T>(S);
  for (int64_t i = 0; i < rows; ++i) {
    std::vector<T> row(size_t(S), T(0));
    for (int64_t j = 0; j < S; ++j) {
      T waited = 1;                                         // Π_{l=k}^{j-1} r_il
      for (int64_t k = j; k >= 0; --k) {
        row[size_t(j)] += before[size_t(k)] * waited;
        if (k > 0) waited *= read(z, i, k - 1, S);
      }
      row[size_t(j)] *= write(z, i, j, S);
    }
    std::copy(row.begin(), row.end(), alpha.begin() + i * S);
    before = row;
  }
  return alpha;
}

template <class T>
std::vector<T> alpha_by_transition_matrix(const std::vector<T>& z, int64_t rows, int64_t S) {
  std::vector<T> alpha(size_t(rows * S)), before = one_hot<T>(S), matrix(size_t(S * S));
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t m = 0; m < S; ++m) {
      T product = 1;
      for (int64_t n = 0; n < S; ++n) {
        if (n > m) product *= 1 - write(z, i, n - 1, S);
        matrix[size_t(m * S + n)] = n < m ? T(0) : product;
      }
    }
    std::vector<T> row(size_t(S), T(0));
    for (int64_t m = 0; m < S; ++m)
      for (int64_t n = 0; n < S; ++n) row[size_t(n)] += before[size_t(m)] * matrix[size_t(m * S + n)];
    for (int64_t n = 0; n < S; ++n) alpha[size_t(i * S + n)] = row[size_t(n)] *= write(z, i, n, S);
    before = row;
  }
  return alpha;
}

template <class T>
std::vector<T> alpha_by_clamped_closed_form(const std::vector<T>& z, int64_t rows, int64_t S, T floor) {
  std::vector<T> alpha(size_t(rows * S)), before = one_hot<T>(S);
  for (int64_t i = 0; i < rows; ++i) {
    T waited = 1, sum = 0;
    for (int64_t j = 0; j < S; ++j) {
      sum += before[size_t(j)] / std::clamp(waited, floor, T(1));
      before[size_t(j)] = std::clamp(write(z, i, j, S) * waited * sum, T(0), T(1));
      alpha[size_t(i * S + j)] = before[size_t(j)];
      waited *= 1 - write(z, i, j, S);
    }
  }
  return alpha;
}

template <class T>
std::vector<T> chunk_beta_by_definition(const std::vector<T>& alpha, const std::vector<T>& u, int64_t rows, int64_t S, int64_t width) {
  std::vector<T> beta(size_t(rows * S), T(0));
  for (int64_t i = 0; i < rows; ++i) {
    const T* row = u.data() + i * S;
    for (int64_t k = 0; k < S; ++k) {
      const int64_t begin = std::max<int64_t>(0, k - width + 1);
      const T top = *std::max_element(row + begin, row + k + 1);
      T sum = 0;
      for (int64_t l = begin; l <= k; ++l) sum += std::exp(row[l] - top);
      for (int64_t l = begin; l <= k; ++l) beta[size_t(i * S + l)] += alpha[size_t(i * S + k)] * std::exp(row[l] - top) / sum;
    }
  }
  return beta;
}

template <class T>
std::vector<T> beta_by_gamma_matrix(const std::vector<T>& alpha, const std::vector<T>& u, int64_t rows, int64_t S) {
  return chunk_beta_by_definition(alpha, u, rows, S, S);    // every prefix is a window of all columns before
}

template std::vector<float> alpha_by_definition(const std::vector<float>&, int64_t, int64_t);
template std::vector<double> alpha_by_definition(const std::vector<double>&, int64_t, int64_t);
template std::vector<float> alpha_by_transition_matrix(const std::vector<float>&, int64_t, int64_t);
template std::vector<double> alpha_by_transition_matrix(const std::vector<double>&, int64_t, int64_t);
template std::vector<float> alpha_by_clamped_closed_form(const std::vector<float>&, int64_t, int64_t, float);
template std::vector<double> alpha_by_clamped_closed_form(const std::vector<double>&, int64_t, int64_t, double);
template std::vector<float> beta_by_gamma_matrix(const std::vector<float>&, const std::vector<float>&, int64_t, int64_t);
template std::vector<double> beta_by_gamma_matrix(const std::vector<double>&, const std::vector<double>&, int64_t, int64_t);
template std::vector<float> chunk_beta_by_definition(const std::vector<float>&, const std::vector<float>&, int64_t, int64_t, int64_t);
template std::vector<double> chunk_beta_by_definition(const std::vector<double>&, const std::vector<double>&, int64_t, int64_t, int64_t);

}  // namespace alinea::reference
