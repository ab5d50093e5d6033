// alinea op: any op of the table on tensors from a file, with gradients. Names and attributes: alinea op --list.
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/op_call.h"

namespace alinea {

namespace {

struct OpOptions {
  CommonOptions common;
  bool list = false;
  std::string name, in, out, dtype = "f32";
  std::vector<std::string> attributes;
};

void list(bool as_json) {
  using json = nlohmann::ordered_json;
  if (!as_json) {
    for (const OpRow& row : program_ops().rows()) fmt::print("{}\n    {}\n", describe(row), row.formula);
    return;
  }
  json ops = json::array();
  for (const OpRow& row : program_ops().rows()) {
    json inputs = json::array(), attributes = json::array();
    for (const OpInput& i : row.inputs)
      inputs.push_back({{"name", i.name}, {"shape", i.shape}, {"optional", i.optional}, {"integer", i.integer}, {"gradient", row.differentiable && !i.integer && !i.constant}});
    for (const OpAttribute& a : row.attributes)
      attributes.push_back({{"name", a.name}, {"default", a.standard.empty() ? json() : json(a.standard)}, {"help", a.help}});
    ops.push_back({{"name", row.name}, {"formula", row.formula}, {"inputs", inputs}, {"attributes", attributes}, {"outputs", row.outputs}, {"differentiable", row.differentiable}});
  }
  print_json(ops);
}

std::map<std::string, std::string> attributes_of(const std::vector<std::string>& assignments) {
  std::map<std::string, std::string> attributes;
  for (const std::string& a : assignments) {
    const size_t equals = a.find('=');
    require(equals != std::string::npos && equals > 0, "--set {}: expected NAME=VALUE", a);
    require(attributes.emplace(a.substr(0, equals), a.substr(equals + 1)).second, "--set {}: this attribute is given twice", a);
  }
  return attributes;
}

int op(const OpOptions& o) {
  if (o.list) return list(o.common.json), 0;
  require(!o.name.empty(), "op: name an op, or give --list");
  const OpRow& row = program_ops().find(o.name);
  require(!o.in.empty() && !o.out.empty(), "op {}: --in FILE.safetensors and --out FILE.safetensors are needed.\n  {}", o.name, describe(row));
  Context& context = context_of(o.common);
  NamedTensors results = call_op(row, SafetensorsFile(o.in).load_all(context), attributes_of(o.attributes), o.dtype == "f64" ? DType::f64 : DType::f32);
  nlohmann::ordered_json shapes;
  for (auto& [name, t] : results) {
    t = t.to(Context::cpu());
    shapes[name] = {{"dtype", name_of(t.dtype())}, {"shape", std::vector<int64_t>(t.shape().dim.begin(), t.shape().dim.begin() + t.rank())}};
    note(o.common, "{} {} {}", name, t.dtype(), t.shape());
  }
  write_safetensors(o.out, results);
  if (o.common.json) print_json(shapes);
  return 0;
}

}  // namespace

void add_op(Command program, Run& run) {
  auto o = std::make_shared<OpOptions>();
  Command app = add_command(program, "op", "one op on tensors from a safetensors file: outputs, and gradients when grad.OUTPUT is given",
                              "alinea op --list\nalinea op softmax --in x.safetensors --out y.safetensors --dtype f64\n"
                              "alinea op linear --in in.safetensors --out out.safetensors --set activation=gelu");
  app.add_option("name", o->name, "an op of --list").type_name("NAME");
  app.add_flag("--list", o->list, "show every op with its inputs, attributes and outputs");
  app.add_option("--in", o->in, "inputs by name; grad.OUTPUT asks for gradients").type_name("FILE");
  app.add_option("--out", o->out, "outputs by name; gradients of inputs as grad.INPUT").type_name("FILE");
  app.add_option("--set", o->attributes, "an attribute; may be repeated").type_name("NAME=VALUE").one_at_a_time();
  app.add_option("--dtype", o->dtype, "floating inputs are converted to it").show_default().one_of({"f32", "f64"});
  add_common(app, o->common, Common::device | Common::json);
  app.callback([o, &run] { run = [o] { return op(*o); }; });
}

}  // namespace alinea
