#include "nn/attention/attention.h"

namespace alinea {

std::span<const AttentionFamily> attention_families() {
  static const AttentionFamily families[] = {softmax_family, linear_family, monotonic_family, structured_family, literal_family};
  return families;
}

const AttentionFamily& attention_family(std::string_view name) {
  std::string known;
  for (const AttentionFamily& f : attention_families()) {
    if (f.name == name) return f;
    known += (known.empty() ? "" : ", ") + std::string(f.name);
  }
  fail(Exit::usage, "attention: there is no family '{}'; known are {}", name, known);
}

ChosenAttention::ChosenAttention(Context& context, const AttentionSpec& spec, const AttentionRole& role) : family_(&attention_family(spec.name)) {
  const Mask mask{.rule = role.rule};
  require(family_->honours(mask), "attention {}: cannot honour the mask '{}' of this block; choose another family for it", family_->name, mask.describe());
  require(role.self || !family_->self_only, "attention {}: needs queries and keys of one sequence; it cannot serve as cross attention", family_->name);
  attention_ = family_->make(context, Config::text(spec.options, "attention " + spec.name), role);
}

AttentionOutput ChosenAttention::forward(const AttentionInput& in) const {
  require(family_->honours(in.mask), "attention {}: cannot honour the mask '{}'; choose another family for this block", family_->name, in.mask.describe());
  require(!family_->needs_policy || in.policy, "attention {}: needs policy logits; it serves as decoder cross attention of an EMMA model", family_->name);
  return attention_->forward(in);
}

}  // namespace alinea
