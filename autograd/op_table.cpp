#include "autograd/op_table.h"

#include <algorithm>
#include <charconv>

#include "autograd/rows/rows.h"
#include "engine/core/names.h"

namespace alinea {

Variable OpCall::in(const std::string& name) const {
  const auto it = inputs.find(name);
  return it == inputs.end() ? Variable() : it->second;
}

std::vector<int32_t> OpCall::lengths(const std::string& name) const {
  const Tensor t = tensor(name);
  return t ? t.values<int32_t>() : std::vector<int32_t>();
}

std::vector<double> OpCall::numbers(const std::string& name) const {
  const Tensor t = tensor(name);
  return t ? t.values<double>() : std::vector<double>();
}

std::string OpCall::text(const std::string& name) const {
  const auto it = attributes.find(name);
  require(it != attributes.end(), "op: there is no attribute '{}'", name);
  return it->second;
}

double OpCall::number(const std::string& name) const {
  const std::string s = text(name);
  double v = 0;
  const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), v);
  require(error == std::errc() && end == s.data() + s.size(), "op: attribute {}='{}' is not a number", name, s);
  return v;
}

int64_t OpCall::integer(const std::string& name) const {
  const double v = number(name);
  require(v == double(int64_t(v)), "op: attribute {}='{}' is not a whole number", name, text(name));
  return int64_t(v);
}

bool OpCall::flag(const std::string& name) const {
  const std::string s = text(name);
  require(s == "true" || s == "false" || s == "1" || s == "0", "op: attribute {}='{}' must be true or false", name, s);
  return s == "true" || s == "1";
}

const OpTable& OpTable::all() {
  static const OpTable table = [] {
    OpTable t;
    register_all_rows(t);
    return t;
  }();
  return table;
}

const OpRow& OpTable::find(const std::string& name) const {
  std::vector<std::string> names;
  for (const OpRow& row : rows_) {
    if (row.name == name) return row;
    names.push_back(row.name);
  }
  fail(Exit::usage, "op: there is no op '{}'; the nearest name is '{}' (alinea op --list shows all)", name, nearest_name(name, names));
}

std::string describe(const OpRow& row) {
  std::string s = row.name + ":";
  for (const OpInput& i : row.inputs) s += fmt::format("{} {}{} {}{}", &i == &row.inputs[0] ? "" : ",", i.optional ? "[" : "", i.name, i.shape, i.optional ? "]" : "");
  for (const OpAttribute& a : row.attributes) s += fmt::format("; {}{}{}", a.name, a.standard.empty() ? " (required)" : "=", a.standard);
  s += " ->";
  for (const std::string& o : row.outputs) s += " " + o;
  return s;
}

OpCall make_call(const OpRow& row, std::map<std::string, Variable> inputs, std::map<std::string, std::string> attributes) {
  OpCall call;
  for (const OpAttribute& a : row.attributes) {
    const auto it = attributes.find(a.name);
    require(it != attributes.end() || !a.standard.empty(), "op: attribute '{}' must be given.\n  {}", a.name, describe(row));
    call.attributes[a.name] = it == attributes.end() ? (a.standard == "none" ? "" : a.standard) : it->second;
    if (it != attributes.end()) attributes.erase(it);
  }
  require(attributes.empty(), "op: there is no attribute '{}'.\n  {}", attributes.empty() ? "" : attributes.begin()->first, describe(row));
  for (const OpInput& i : row.inputs) {
    const auto it = inputs.find(i.name);
    if (it == inputs.end() || !it->second) {
      require_data(i.optional, "op: input '{}' is missing.\n  {}", i.name, describe(row));
      continue;
    }
    const DType d = it->second.dtype();
    const bool whole = d == DType::i64 || d == DType::i32 || d == DType::u8;
    require_data(whole == i.integer, "op: input '{}' is {}, it must be {}.\n  {}", i.name, d, i.integer ? "i64" : "f32 or f64", describe(row));
    call.inputs[i.name] = it->second;
    inputs.erase(it);
  }
  require_data(inputs.empty(), "op: there is no input '{}'.\n  {}", inputs.empty() ? "" : inputs.begin()->first, describe(row));
  return call;
}

}  // namespace alinea
