// Structured attention (Conti 2024, arXiv 2409.00068, made trainable): softmax over a band, blocks, the columns of the rarest tokens, a few
// global rows and random keys, in time linear in the length. What is new over Longformer and Big Bird is that columns are chosen by rarity,
// sentence by sentence, and that heads may differ.
#include "autograd/structured_attention.h"
#include "nn/attention/key_value_cache.h"
#include "nn/attention/pattern_options.h"

namespace alinea {

namespace {

struct StructuredOptions {
  PatternOptions pattern;
  bool bias = true;
  void fields(Config& c) {
    pattern.fields(c);
    c.field("bias", bias, "learned biases of the positions in the band and of the columns, per head");
  }
};

class Structured final : public Attention {
 public:
  Structured(Context& context, const StructuredOptions& options, const AttentionRole& role) : options_(options), role_(role) {
    const StructuredPattern p{.heads = options.pattern.heads("structured", role.heads), .columns = {}, .mask = {}, .key = {}};
    if (!options.bias) return;
    band_bias_ = constant_parameter(context, {role.heads, 2 * p.widest() + 1}, 0);
    if (options.pattern.columns > 0) column_bias_ = constant_parameter(context, {role.heads}, 0);
  }
  AttentionOutput forward(const AttentionInput& in) override {
    Tape* tape = in.pass.tape;
    const DType dtype = in.q.dtype();
    return {structured_attention(in.q, in.k, in.v, parameter_input(tape, band_bias_, dtype), parameter_input(tape, column_bias_, dtype), op(in)), {}};
  }
  std::unique_ptr<AttentionState> begin(Context& context, const DecodeStart& start) override { return std::make_unique<KeyValueCache>(context, start); }
  Tensor step(AttentionState& state, const Tensor& q, int64_t first_row) override { return forward(dynamic_cast<KeyValueCache&>(state).causal_input(q, first_row)).context.value(); }
  Tensor weights(const AttentionInput& in) override {
    const DType dtype = in.q.dtype();
    return structured_weights(op(in), in.q.value(), in.k.value(), parameter_input(nullptr, band_bias_, dtype).value(), parameter_input(nullptr, column_bias_, dtype).value());
  }
  Cost cost(const AttentionSizes& n) const override {
    const double heads = double(n.B * n.H), D = double(n.D), keys = std::min(double(n.S), options_.pattern.pairs_per_row(role_));
    return {.flops = heads * double(n.T) * keys * (14 * D + 10), .saved_bytes = 4 * heads * (2 * double(n.T + n.S) * D + double(n.T)), .state_bytes = 8 * heads * double(n.S) * D};
  }
  void visit(const std::string& prefix, const Visitor& v) override {
    if (band_bias_.value) v(path(prefix, "band_bias"), band_bias_);
    if (column_bias_.value) v(path(prefix, "column_bias"), column_bias_);
  }

 private:
  StructuredAttention op(const AttentionInput& in) const {
    return {.pattern = options_.pattern.pattern("structured", in, role_), .scale = 0, .dropout = in.dropout, .key = in.pass.key};
  }
  StructuredOptions options_;
  AttentionRole role_;
  Parameter band_bias_, column_bias_;                        // [H, 2w + 1], [H]
};

}  // namespace

const AttentionFamily structured_family = {
    .name = "structured",
    .definition = "softmax over a band, diagonal blocks, the columns of the rarest tokens, global rows and random keys; heads may differ",
    .cost_formula = "FLOPs 14 T (2w + 1 + r) D, saved 4 (2 (T + S) D + T) bytes, state 8 S D bytes, per item and head; r columns and random keys",
    .source = "Conti 2024, arXiv 2409.00068; Beltagy et al. 2020, arXiv 2004.05150; Zaheer et al. 2020, arXiv 2007.14062",
    .variants = {R"({"window": 2})", R"({"window": 1, "columns": 2})", R"({"window": [0, 1, 9], "columns": 1, "column_extent": 3, "random_keys": 1, "bias": false})",
                 R"({"window": 0, "blocks": [3, 4], "global_rows": [1]})"},
    .honours = [](const Mask& m) { return m.rule == Mask::Rule::all || m.rule == Mask::Rule::causal; },
    .self_only = true,
    .options = [] { return Config::fields_of(StructuredOptions{}); },
    .make = [](Context& context, Config options, const AttentionRole& role) -> std::unique_ptr<Attention> {
      StructuredOptions o;
      o.fields(options);
      options.refuse_unread();
      return std::make_unique<Structured>(context, o, role);
    },
};

}  // namespace alinea
