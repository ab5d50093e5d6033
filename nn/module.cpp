#include "nn/module.h"

#include <cmath>

#include "engine/core/parallel.h"

namespace alinea {

namespace {

// One block of random bits gives `each` values, value(bits, i) the i-th: element e depends on (key, e) alone, so threads share the work.
template <int each, class F>
Parameter drawn(Context& context, const Shape& shape, RandomKey key, F value) {
  if (key.is_deferred) return {context.placeholder(shape, DType::f32), {}, true};
  std::vector<float> v(size_t(shape.count()));
  const int64_t n = int64_t(v.size());
  parallel_for((n + each - 1) / each, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const auto bits = key.block(uint64_t(b));
      for (int64_t i = 0; i < each && b * each + i < n; ++i) v[size_t(b * each + i)] = float(value(bits, i));
    }
  });
  return {context.from(v.data(), shape), {}, true};
}

double unit(uint32_t bits) { return (bits >> 8) * 0x1p-24; }  // [0, 1)

}  // namespace

Parameter uniform_parameter(Context& context, const Shape& shape, double bound, RandomKey key) {
  return drawn<4>(context, shape, key, [=](const auto& bits, int64_t i) { return -bound + 2 * bound * unit(bits[i]); });
}

// Box–Muller: two uniform numbers a value.
Parameter normal_parameter(Context& context, const Shape& shape, double deviation, RandomKey key) {
  return drawn<2>(context, shape, key, [=](const auto& bits, int64_t i) {
    return deviation * (std::sqrt(-2 * std::log(1 - unit(bits[2 * i]))) * std::cos(6.283185307179586 * unit(bits[2 * i + 1])));
  });
}

Parameter constant_parameter(Context& context, const Shape& shape, double value) { return {context.full(shape, DType::f32, value), {}, true}; }

FlatParameters::FlatParameters(Module& module) {
  int64_t total = 0;
  Context* context = nullptr;
  module.visit("", [&](const std::string& name, Parameter& p) {
    p.grad = {};
    if (!p.trainable) return;
    for (const Entry& e : entries)
      if (e.parameter == &p) return;                        // tied: one parameter under two names
    entries.push_back({name, &p, total, p.value.count()});
    total += (p.value.count() + 15) / 16 * 16;              // slices start on whole vectors
    context = &p.value.context();
  });
  require(context != nullptr, "parameters: everything is frozen, there is nothing to train; shorten the list of frozen names");
  values = context->zeros(Shape{total}, DType::f32);
  grads = context->zeros(Shape{total}, DType::f32);
  for (const Entry& e : entries) {
    const Shape shape = e.parameter->value.shape();
    const Tensor slice = values.slice(0, e.begin, e.begin + e.count).reshape(shape);
    slice.copy_from(e.parameter->value.to(DType::f32));
    e.parameter->value = slice;
    e.parameter->grad = grads.slice(0, e.begin, e.begin + e.count).reshape(shape);
  }
}

int64_t parameter_count(Module& module, bool trainable_only) {
  int64_t n = 0;
  std::vector<const Parameter*> seen;
  module.visit("", [&](const std::string&, Parameter& p) {
    if (p.fixed) return;
    if (std::find(seen.begin(), seen.end(), &p) != seen.end()) return;
    seen.push_back(&p);
    if (p.trainable || !trainable_only) n += p.value.count();
  });
  return n;
}

bool matches(std::string_view name, std::string_view pattern) {
  size_t n = 0, p = 0, star = std::string_view::npos, after = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') star = p++, after = n;
    else if (p < pattern.size() && pattern[p] == name[n]) ++n, ++p;
    else if (star != std::string_view::npos) p = star + 1, n = ++after;
    else return false;
  }
  return pattern.find_first_not_of('*', p) == std::string_view::npos;
}

namespace {

// Which names start with one of some prefixes; remembers the prefixes that met a name.
class Selection {
 public:
  Selection(const char* option, const std::vector<std::string>& prefixes) : option_(option), prefixes_(prefixes), met_(prefixes.size()) {}
  bool holds(const std::string& name) {
    bool any = false;
    for (size_t i = 0; i < prefixes_.size(); ++i)
      if (matches(name, prefixes_[i] + "*")) any = met_[i] = true;
    return any;
  }
  void refuse_unmet() const {
    for (size_t i = 0; i < prefixes_.size(); ++i) require(met_[i], "{}: no parameter's name starts with '{}'", option_, prefixes_[i]);
  }

 private:
  const char* option_;
  const std::vector<std::string>& prefixes_;
  std::vector<bool> met_;
};

}  // namespace

void freeze(Module& module, const std::vector<std::string>& prefixes, const std::vector<std::string>& train) {
  Selection frozen("freeze", prefixes), kept("train", train);
  module.visit("", [&](const std::string& name, Parameter& p) {
    const bool stays = frozen.holds(name), trained = kept.holds(name);
    p.trainable = !p.fixed && (!stays || trained);
  });
  frozen.refuse_unmet();
  kept.refuse_unmet();
}

}  // namespace alinea
