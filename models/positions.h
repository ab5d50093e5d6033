// Where a token or state stands in its sequence: a row added to each column.
//   sinusoid   row t of column t, sines and cosines interleaved (Vaswani et al. 2017)
//   fairseq    row pad + 1 + t of the t-th real column, [sin …, cos …]; padding gets zeros (fairseq, Speech2Text)
//   learned    row 2 + t of a trained table of max_positions + 2 rows (BART)
#pragma once
#include "models/transformer_config.h"
#include "nn/layers.h"

namespace alinea {

class Positions final : public Module {
 public:
  Positions() = default;
  Positions(Context& context, const TransformerConfig& config, RandomKey key);

  /// Only these rows depend on which columns are padding.
  bool skips_padding() const { return kind_ == Kind::fairseq; }
  /// x [B,T,C], columns first … first + T - 1 of the sequence, plus their rows. real: of each of the B·T columns, whether it is no padding
  /// (empty: all are); read only where padding is skipped.
  Variable add_to(const Variable& x, int64_t first, const std::vector<bool>& real, Tape* tape);
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  enum class Kind { sinusoid, fairseq, learned };
  Variable real_rows(const Variable& x, int64_t first, const std::vector<bool>& real) const;

  Kind kind_ = Kind::sinusoid;
  int64_t limit_ = 0;
  Tensor table_;                                            // sinusoid: row t of position t; fairseq: zeros, then row i of position pad + i
  Parameter learned_;
};

}  // namespace alinea
