#include "models/positions.h"

#include "autograd/elementwise.h"
#include "autograd/layout.h"

namespace alinea {

namespace {
constexpr int64_t learned_offset = 2;                       // BART's tables keep the rows of <s> and <pad> of their ancestors
}

Positions::Positions(Context& context, const TransformerConfig& config, RandomKey key) : limit_(config.max_positions) {
  const int64_t C = config.d_model;
  if (config.positions == "learned") {
    kind_ = Kind::learned;
    learned_ = normal_parameter(context, {limit_ + learned_offset, C}, 1 / std::sqrt(double(C)), key);
  } else if (config.positions == "fairseq") {
    kind_ = Kind::fairseq;
    table_ = sinusoid(context, config.pad_token, limit_ + 1, C, PositionLayout::halves);
    table_.slice(0, 0, 1).zero();
  } else {
    table_ = sinusoid(context, 0, limit_, C, PositionLayout::interleaved);
  }
}

Variable Positions::real_rows(const Variable& x, int64_t first, const std::vector<bool>& real) const {
  const int64_t B = x.size(0), T = x.size(1);
  require(real.empty() || int64_t(real.size()) == B * T, "positions: {} marks of padding for {} columns in {} items", real.size(), T, B);
  std::vector<int64_t> rows(size_t(B * T), 0);
  for (int64_t b = 0; b < B; ++b)
    for (int64_t t = 0, place = first; t < T; ++t)
      if (const size_t at = size_t(b * T + t); real.empty() || real[at]) rows[at] = ++place;
  return embedding(Variable(table_.to(x.dtype())), Context::cpu().from(rows.data(), {B, T}));
}

Variable Positions::add_to(const Variable& x, int64_t first, const std::vector<bool>& real, Tape* tape) {
  const int64_t B = x.size(0), T = x.size(1), C = x.size(2);
  require(first + T <= limit_, "model: a sequence of {} tokens or states, the model has {} positions; shorten it or raise model.max_positions", first + T, limit_);
  if (kind_ == Kind::fairseq) return add(x, real_rows(x, first, real));
  Variable rows;
  if (kind_ == Kind::learned) {
    std::vector<int64_t> places(static_cast<size_t>(T));
    for (int64_t t = 0; t < T; ++t) places[size_t(t)] = learned_offset + first + t;
    rows = embedding(on(tape, learned_), Context::cpu().from(places.data(), {T}));
  } else {
    rows = Variable(table_.slice(0, first, first + T).to(x.dtype()));
  }
  return add(x, expand(reshape(rows, {1, T, C}), {B, T, C}));
}

void Positions::visit(const std::string& prefix, const Visitor& v) {
  if (kind_ == Kind::learned) v(path(prefix, "embed_positions.weight"), learned_);
}

}  // namespace alinea
