#include "nn/module.h"

namespace alinea {

namespace {

template <class F>
Parameter drawn(Context& context, const Shape& shape, RandomKey key, F&& value) {
  if (key.is_deferred) return {context.placeholder(shape, DType::f32), {}, true};
  std::vector<float> v(size_t(shape.count()));
  for (float& x : v) x = float(value());
  return {context.from(v.data(), shape), {}, true};
}

}  // namespace

Parameter uniform_parameter(Context& context, const Shape& shape, double bound, RandomKey key) {
  Draw draw(key);
  return drawn(context, shape, key, [&] { return draw.uniform(-bound, bound); });
}

Parameter normal_parameter(Context& context, const Shape& shape, double deviation, RandomKey key) {
  Draw draw(key);
  return drawn(context, shape, key, [&] { return deviation * draw.normal(); });
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

void freeze(Module& module, const std::vector<std::string>& prefixes) {
  std::vector<bool> used(prefixes.size());
  module.visit("", [&](const std::string& name, Parameter& p) {
    p.trainable = !p.fixed;
    for (size_t i = 0; i < prefixes.size(); ++i)
      if (name.starts_with(prefixes[i])) p.trainable = false, used[i] = true;
  });
  for (size_t i = 0; i < prefixes.size(); ++i) require(used[i], "freeze: no parameter's name starts with '{}'", prefixes[i]);
}

}  // namespace alinea
