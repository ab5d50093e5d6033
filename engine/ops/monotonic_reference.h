// Monotonic attention as it is written in the papers: slow and plain, for tests, teaching and benchmarks. One head of one item, row-major [T, S],
// no padding; the policy writes for certain in the last column, as in MonotonicAlpha. The recurrences that the engine uses are in monotonic.h.
#pragma once
#include <cstdint>
#include <vector>

namespace alinea::reference {

/// α_ij = p_ij Σ_{k≤j} α_{i-1,k} Π_{l=k}^{j-1} r_il, term by term: O(T·S²).   Raffel et al. 2017, eq. 8.
template <class T>
std::vector<T> alpha_by_definition(const std::vector<T>& z, int64_t rows, int64_t S);

/// α_i = p_i ⊙ (α_{i-1} T(i)),  T(i) = triu(cumprod(1 - triu₁(1 · roll₁(p_i)))): O(T·S²) time, O(S²) memory a row.   arXiv 2312.04515, eq. 9-11.
template <class T>
std::vector<T> alpha_by_transition_matrix(const std::vector<T>& z, int64_t rows, int64_t S);

/// α_i = p_i ⊙ c_i ⊙ cumsum(α_{i-1} / clamp(c_i, floor, 1)) clipped to [0, 1], c_ij = Π_{l<j} (1 - p_il).   Raffel et al. 2017, eq. 9; fairseq.
/// Inexact: c falls below any floor within some ten columns, and what lies beyond loses its probability; more digits do not help.
template <class T>
std::vector<T> alpha_by_clamped_closed_form(const std::vector<T>& z, int64_t rows, int64_t S, T floor);

/// β_i = α_i Γ(i), Γ(i) the softmax of u_i over columns ≤ k in row k: O(T·S²).   arXiv 2312.04515, eq. 15.
template <class T>
std::vector<T> beta_by_gamma_matrix(const std::vector<T>& alpha, const std::vector<T>& u, int64_t rows, int64_t S);

/// MoChA: as above with the softmax over columns k - width + 1 … k.   Chiu & Raffel 2018, eq. 19.
template <class T>
std::vector<T> chunk_beta_by_definition(const std::vector<T>& alpha, const std::vector<T>& u, int64_t rows, int64_t S, int64_t width);

}  // namespace alinea::reference
