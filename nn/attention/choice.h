// Which attention family serves a block, layer by layer, as configuration says it:
//   "linear"      {"name": "linear", "feature_map": "cosformer"}      ["softmax", "linear", {"name": "structured", "window": 8}]
#pragma once
#include <concepts>

#include "nn/attention/attention.h"

namespace alinea {

class AttentionChoice {
 public:
  AttentionChoice() : AttentionChoice("softmax") {}
  template <std::convertible_to<std::string_view> Name>
  AttentionChoice(const Name& name) : AttentionChoice(std::string_view(name)) {}   // a name is a choice
  AttentionChoice(std::string_view name);
  /// Reads key `name` of a configuration; the form is checked at once, the families and their options when layers are made.
  void field(Config& c, std::string_view name, std::string_view help);
  /// A list must have one entry per layer; `block` names it in the error.
  void check(std::string_view block, int64_t layers) const;
  AttentionSpec layer(int64_t i) const { return layers_.size() == 1 ? layers_[0] : layers_.at(size_t(i)); }
  /// "softmax" or "softmax, linear" when layers differ.
  std::string describe() const;

 private:
  JsonText json_;
  std::vector<AttentionSpec> layers_;                       // one for all, or one each
};

}  // namespace alinea
