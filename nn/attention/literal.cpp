// The scores of Conti 2024 (arXiv 2409.00068, eq. 20) taken at their word: context = (P + E) v, where neither the pattern P nor the sparse
// E looks at queries and keys. P is the row softmax of learned logits of relative positions and columns, E is trained and stays below eps.
#include "autograd/structured_attention.h"
#include "nn/attention/key_value_cache.h"
#include "nn/attention/pattern_options.h"

namespace alinea {

namespace {

struct LiteralOptions {
  PatternOptions pattern;
  double eps = 0.1;
  int64_t residual = 0, span = 128;
  void fields(Config& c) {
    pattern.fields(c);
    c.field("eps", eps, "bound of the residual's entries");
    c.field("residual", residual, "entries of the sparse residual E per head; 0: none");
    c.field("span", span, "the residual's positions lie below this row and column");
  }
  void check() const {
    require(eps > 0 && residual >= 0 && span > 0 && residual <= span * (span + 1) / 2, "attention literal: needs eps > 0 and 0 ≤ residual ≤ span (span + 1) / 2, found eps {}, residual {}, span {}",
            eps, residual, span);
  }
};

class Literal final : public Attention {
 public:
  Literal(Context& context, const LiteralOptions& options, const AttentionRole& role) : options_(options), role_(role) {
    options.check();
    const StructuredPattern p{.heads = options.pattern.heads("literal", role.heads), .columns = {}, .mask = {}, .key = {}};
    band_ = constant_parameter(context, {role.heads, 2 * p.widest() + 1}, 0);
    if (options.pattern.columns > 0) column_ = constant_parameter(context, {role.heads}, 0);
    if (options.residual > 0) residual_ = constant_parameter(context, {role.heads, options.residual}, 0);
  }
  AttentionOutput forward(const AttentionInput& in) override {
    require(in.dropout == 0, "attention literal: has no weights of queries and keys to drop; set attention_dropout to 0");
    Tape* tape = in.pass.tape;
    const DType dtype = in.v.dtype();
    return {literal_attention(in.v, parameter_input(tape, band_, dtype), parameter_input(tape, column_, dtype), parameter_input(tape, residual_, dtype), op(in)), {}};
  }
  std::unique_ptr<AttentionState> begin(Context& context, const DecodeStart& start) override { return std::make_unique<KeyValueCache>(context, start); }
  Tensor step(AttentionState& state, const Tensor& q, int64_t first_row) override { return forward(dynamic_cast<KeyValueCache&>(state).causal_input(q, first_row)).context.value(); }
  Tensor weights(const AttentionInput& in) override {
    const DType dtype = in.v.dtype();
    return literal_weights(op(in), in.v.value(), parameter_input(nullptr, band_, dtype).value(), parameter_input(nullptr, column_, dtype).value(), parameter_input(nullptr, residual_, dtype).value());
  }
  Cost cost(const AttentionSizes& n) const override {
    const double heads = double(n.B * n.H), D = double(n.D), keys = std::min(double(n.S), options_.pattern.pairs_per_row(role_));
    return {.flops = heads * (double(n.T) * keys * 8 * D + double(options_.residual) * 6 * D), .saved_bytes = 4 * heads * double(n.T + n.S) * D, .state_bytes = 8 * heads * double(n.S) * D};
  }
  void visit(const std::string& prefix, const Visitor& v) override {
    v(path(prefix, "band_logits"), band_);
    if (column_.value) v(path(prefix, "column_logits"), column_);
    if (residual_.value) v(path(prefix, "residual"), residual_);
  }

 private:
  LiteralAttention op(const AttentionInput& in) const {
    return {.pattern = options_.pattern.pattern("literal", in, role_), .eps = options_.eps, .span = options_.span, .key = role_.key.child("residual"), .rows = in.q.size(2)};
  }
  LiteralOptions options_;
  AttentionRole role_;
  Parameter band_, column_, residual_;                       // [H, 2w + 1], [H], [H, n]
};

}  // namespace

const AttentionFamily literal_family = {
    .name = "literal",
    .definition = "(P + E) v: a learned pattern over positions and rare columns plus a sparse, bounded residual; queries and keys are not used",
    .cost_formula = "FLOPs 8 T (2w + 1 + r) D + 6 n D, saved 4 (T + S) D bytes, state 8 S D bytes, per item and head; r columns, n entries of E",
    .source = "Conti 2024, arXiv 2409.00068, eq. 20 and 21; Raganato et al. 2020, arXiv 2002.10260",
    .variants = {R"({"window": 2})", R"({"window": 1, "columns": 2, "residual": 5, "span": 7})"},
    .honours = [](const Mask& m) { return m.rule == Mask::Rule::all || m.rule == Mask::Rule::causal; },
    .self_only = true,
    .options = [] { return Config::fields_of(LiteralOptions{}); },
    .make = [](Context& context, Config options, const AttentionRole& role) -> std::unique_ptr<Attention> {
      LiteralOptions o;
      o.fields(options);
      options.refuse_unread();
      return std::make_unique<Literal>(context, o, role);
    },
};

}  // namespace alinea
