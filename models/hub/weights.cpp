#include "models/hub/weights.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>

namespace alinea {

namespace {

constexpr std::string_view norm_suffix = ".parametrizations.weight.original0", direction_suffix = ".parametrizations.weight.original1";

struct Target {
  Parameter* parameter;
  std::vector<std::string> names;                           // as the module visits it, then its aliases
};

std::vector<Target> targets_of(Module& module, const LoadRules& rules) {
  std::vector<Target> targets;
  std::map<const Parameter*, size_t> index;
  module.visit("", [&](const std::string& name, Parameter& p) {
    const auto [it, is_new] = index.emplace(&p, targets.size());
    if (is_new) targets.push_back({&p, {}});
    targets[it->second].names.push_back(name);
  });
  for (const LoadRules::Alias& alias : rules.aliases)
    for (Target& t : targets)
      if (std::find(t.names.begin(), t.names.end(), alias.parameter) != t.names.end()) t.names.push_back(alias.name);
  return targets;
}

bool matches_any(std::string_view name, const std::vector<std::string>& patterns) {
  return std::any_of(patterns.begin(), patterns.end(), [&](const std::string& p) { return matches(name, p); });
}

// The first spelling of weight norm: weight_g and weight_v instead of parametrizations.weight.original0 and 1.
std::string with_parametrization(const std::string& name) {
  const std::string stem = name.size() > 9 ? name.substr(0, name.size() - 9) : "";
  if (!stem.empty() && name.ends_with(".weight_g")) return stem + std::string(norm_suffix);
  if (!stem.empty() && name.ends_with(".weight_v")) return stem + std::string(direction_suffix);
  return name;
}

std::string stem_of(const std::string& name, std::string_view suffix) { return name.ends_with(suffix) ? name.substr(0, name.size() - suffix.size()) : ""; }

// Norms of a weight over every axis on which `shape` has size 1, in double.
Tensor norms_of(const Tensor& weight, const Shape& shape) {
  std::vector<double> squares(size_t(shape.count()), 0.0);
  const std::vector<float> values = weight.values<float>();
  for (int64_t i = 0; i < int64_t(values.size()); ++i) {
    int64_t rest = i, at = 0, step = 1;
    for (int a = weight.rank(); a-- > 0;) {
      const int64_t along = rest % weight.size(a);
      rest /= weight.size(a);
      if (shape.dim[a] != 1) at += along * step, step *= shape.dim[a];
    }
    squares[size_t(at)] += double(values[size_t(i)]) * values[size_t(i)];
  }
  std::vector<float> norms;
  for (const double s : squares) norms.push_back(float(std::sqrt(s)));
  return Context::cpu().from(norms.data(), shape);
}

bool is_norm_of(const Shape& norm, const Shape& weight) {
  if (norm.rank != weight.rank) return false;
  for (int a = 0; a < norm.rank; ++a)
    if (norm.dim[a] != 1 && norm.dim[a] != weight.dim[a]) return false;
  return true;
}

bool is_float(std::string_view dtype) { return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64"; }

bool same_bytes(const Tensor& a, const Tensor& b) {
  if (a.count() == 0) return true;
  bool same = false;
  with_any(a.dtype(), [&]<class T>() { same = a.data<T>() == b.data<T>() || std::memcmp(a.data<T>(), b.data<T>(), size_t(a.bytes())) == 0; });
  return same;
}

class Loader {
 public:
  Loader(Module& module, const Checkpoint& checkpoint, const LoadRules& rules) : checkpoint_(checkpoint), rules_(rules), targets_(targets_of(module, rules)) {
    for (const TensorEntry& e : checkpoint.entries()) {
      const std::string name = with_parametrization(rules.rename ? rules.rename(e.name) : e.name);
      if (name.empty()) continue;
      if (!in_file_.emplace(name, &e).second) complain(fmt::format("twice: {} (also as {})", shown(e.name), shown(in_file_[name]->name)));
    }
  }

  std::vector<std::string> run() {
    for (Target& t : targets_) plan(t);
    for (const auto& [name, entry] : in_file_)
      if (!used_[name] && !matches_any(name, rules_.ignored)) complain(fmt::format("unexpected: {} {}", shown(entry->name), entry->shape));
    require_data(complaints_ == 0, "{}: the weights do not fit the model; {} names are wrong{}{}", checkpoint_.place(), complaints_, lines_, complaints_ > 20 ? "\n  …" : "");
    for (auto& [target, load] : work_) load(*target);
    return kept_;
  }

 private:
  using Load = std::function<void(Target&)>;

  void complain(const std::string& line) {
    if (++complaints_ <= 20) lines_ += "\n  " + line;
  }

  void plan(Target& t) {
    std::vector<const TensorEntry*> found;
    for (const std::string& name : t.names)
      if (const auto it = in_file_.find(name); it != in_file_.end() && std::find(found.begin(), found.end(), it->second) == found.end()) {
        found.push_back(it->second);
        used_[name] = true;
      }
    if (found.empty() && plan_folded(t)) return;
    if (found.empty()) return missing(t);
    for (const TensorEntry* e : found)
      if (!fits(*e, t.parameter->value.shape())) return;
    for (size_t i = 1; i < found.size(); ++i)
      if (!same_bytes(load(*found[0]), load(*found[i]))) return complain(fmt::format("differ: {} and {}, which are one parameter of the model", shown(found[0]->name), shown(found[i]->name)));
    work_.emplace_back(&t, [this, e = found[0]](Target& to) { set(to, checkpoint_.load(e->name, to.parameter->value.context(), wanted(to) == DType::bf16 ? Checkpoint::Bf16::keep : Checkpoint::Bf16::widen)); });
  }

  // X.weight in the file for X.parametrizations.weight.original0 (g) or original1 (v).
  bool plan_folded(Target& t) {
    const std::string &name = t.names[0], norm = stem_of(name, norm_suffix), direction = stem_of(name, direction_suffix);
    if (norm.empty() && direction.empty()) return false;
    const std::string folded = (norm.empty() ? direction : norm) + ".weight";
    const auto it = in_file_.find(folded);
    if (it == in_file_.end()) return false;
    used_[folded] = true;
    const TensorEntry* e = it->second;
    const Shape shape = t.parameter->value.shape();
    if (norm.empty()) {
      if (fits(*e, shape)) work_.emplace_back(&t, [this, e](Target& to) { set(to, load(*e)); });
    } else if (!is_norm_of(shape, e->shape)) {
      complain(fmt::format("misshapen: {} is {}, the model's {} is {}", shown(e->name), e->shape, name, shape));
    } else {
      work_.emplace_back(&t, [this, e, shape](Target& to) { set(to, norms_of(load(*e), shape)); });
    }
    return true;
  }

  void missing(const Target& t) {
    const bool may = std::any_of(t.names.begin(), t.names.end(), [&](const std::string& n) { return matches_any(n, rules_.optional); });
    if (may && !t.parameter->value.placeholder()) kept_.push_back(t.names[0]);
    else complain(fmt::format("missing: {} {}", t.names[0], t.parameter->value.shape()));
  }

  bool fits(const TensorEntry& e, const Shape& shape) {
    if (!is_float(e.dtype)) complain(fmt::format("not floating point: {} is {}", shown(e.name), e.dtype));
    else if (e.shape != shape) complain(fmt::format("misshapen: {} is {}, the model needs {}", shown(e.name), e.shape, shape));
    else return true;
    return false;
  }

  Tensor load(const TensorEntry& e) const { return checkpoint_.load(e.name, Context::cpu()); }
  DType wanted(const Target& t) const {
    return std::any_of(t.names.begin(), t.names.end(), [&](const std::string& n) { return matches_any(n, rules_.bf16); }) ? DType::bf16 : DType::f32;
  }
  void set(Target& t, const Tensor& value) const {
    Tensor& own = t.parameter->value;
    if (own.placeholder()) own = value.to(own.context()).to(wanted(t));
    else own.copy_from(value.to(own.context()).to(own.dtype()));
  }

  const Checkpoint& checkpoint_;
  const LoadRules& rules_;
  std::vector<Target> targets_;
  std::map<std::string, const TensorEntry*> in_file_;       // by the module's names
  std::map<std::string, bool> used_;
  std::vector<std::pair<Target*, Load>> work_;
  std::vector<std::string> kept_;
  std::string lines_;
  int complaints_ = 0;
};

}  // namespace

std::vector<std::string> load_weights(Module& module, const Checkpoint& checkpoint, const LoadRules& rules) { return Loader(module, checkpoint, rules).run(); }

NamedTensors parameters_of(Module& module) {
  NamedTensors all;
  for (const Target& t : targets_of(module, {})) all.emplace_back(t.names[0], t.parameter->value);
  return all;
}

}  // namespace alinea
