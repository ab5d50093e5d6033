#include "nn/multi_head_attention.h"

#include "autograd/layout.h"

namespace alinea {

MultiHeadAttention::MultiHeadAttention(Context& context, const AttentionSpec& spec, int64_t width, int64_t heads, AttentionRole role, RandomKey key)
    : q_(context, width, width, key.child("q")),
      k_(context, width, width, key.child("k")),
      v_(context, width, width, key.child("v")),
      out_(context, width, width, key.child("out")),
      width_(width),
      heads_(heads),
      role_(role) {
  require(heads > 0 && width % heads == 0, "attention: {} heads do not divide the width {}", heads, width);
  role_.heads = heads, role_.width = width / heads, role_.key = key.child("family");
  choose(context, spec);
}

void MultiHeadAttention::choose(Context& context, const AttentionSpec& spec) { attention_ = ChosenAttention(context, spec, role_); }

Variable MultiHeadAttention::split(const Variable& x) const {
  return permute(reshape(x, {x.size(0), x.size(1), heads_, width_ / heads_}), {0, 2, 1, 3});
}

AttentionInput MultiHeadAttention::input(const Variable& x, const Variable& memory, const Options& options, const Pass& pass) {
  return {.q = split(q_(x, pass.tape)),
          .k = split(k_(memory, pass.tape)),
          .v = split(v_(memory, pass.tape)),
          .mask = options.mask,
          .extents = options.extents,
          .rarity = options.rarity,
          .tokens = options.tokens,
          .policy = options.policy,
          .pooling = options.pooling,
          .dropout = pass.training ? options.dropout : 0,
          .pass = pass};
}

namespace {

// [B,H,T,D] in [B,T,H,D] memory -> [B,T,C]
Variable merge(const Variable& context) {
  const Variable rows = permute(context, {0, 2, 1, 3});
  return reshape(rows, {rows.size(0), rows.size(1), rows.size(2) * rows.size(3)});
}

}  // namespace

MultiHeadAttention::Output MultiHeadAttention::forward(const Variable& x, const Variable& memory, const Options& options, const Pass& pass) {
  const AttentionInput in = input(x, memory, options, pass);
  if (watcher_) watcher_(attention_->weights(in), in.mask);
  const AttentionOutput out = attention_.forward(in);
  return {out_(merge(out.context), pass.tape), out.alignment};
}

void MultiHeadAttention::append(AttentionState& state, const Tensor& memory, const Tensor& rarity) {
  state.append({split(k_(memory, nullptr)).value(), split(v_(memory, nullptr)).value(), rarity});
}

Tensor MultiHeadAttention::step(AttentionState& state, const Tensor& x, int64_t first_row) {
  const Tensor context = attention_->step(state, split(q_(x, nullptr)).value(), first_row);
  return out_(Variable(merge(context)), nullptr).value();
}

Tensor MultiHeadAttention::weights(const Variable& x, const Variable& memory, const Options& options) {
  return attention_->weights(input(x, memory, options, {}));
}

void MultiHeadAttention::visit(const std::string& prefix, const Visitor& v) {
  q_.visit(path(prefix, "q_proj"), v);
  k_.visit(path(prefix, "k_proj"), v);
  v_.visit(path(prefix, "v_proj"), v);
  out_.visit(path(prefix, "out_proj"), v);
  attention_->visit(path(prefix, "family"), v);
}

}  // namespace alinea
