// alinea forward: any Hugging Face directory on given inputs, so that its numbers can be compared with those of another program.
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/forward_case.h"
#include "apps/forward_model.h"

namespace alinea {

namespace {

struct ForwardCommand {
  CommonOptions common;
  std::string directory, in, out, test_case, gradients, generate, loss;
  bool hidden_states = false;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    if (end > begin) parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::vector<std::pair<std::string, std::string>> assignments(const std::string& text, std::string_view option) {
  std::vector<std::pair<std::string, std::string>> all;
  for (const std::string& part : split(text, ',')) {
    const size_t equals = part.find('=');
    require(equals != std::string::npos && equals > 0, "forward: {} '{}': expected NAME=VALUE, separated by commas", option, part);
    all.emplace_back(part.substr(0, equals), part.substr(equals + 1));
  }
  return all;
}

LossOverride loss_override(const std::string& text) {
  LossOverride o;
  for (const auto& [name, value] : assignments(text, "--loss")) {
    if (name == "reduction") {
      require(value == "sum" || value == "mean", "forward: --loss reduction '{}' is not sum or mean", value);
      o.reduction = value == "sum" ? Reduction::sum : Reduction::mean;
    } else if (name == "zero_infinity") {
      require(value == "true" || value == "false", "forward: --loss zero_infinity '{}' is not true or false", value);
      o.zero_infinity = value == "true";
    } else if (name == "smoothing") {
      char* end = nullptr;
      o.smoothing = std::strtod(value.c_str(), &end);
      require(!value.empty() && *end == '\0' && o.smoothing >= 0 && o.smoothing < 1, "forward: --loss smoothing '{}' is not a number in [0, 1)", value);
    } else if (name == "convention") {
      require(value == "torch" || value == "fairseq", "forward: --loss convention '{}' is not torch or fairseq", value);
      o.convention = value == "torch" ? CrossEntropy::Convention::torch : CrossEntropy::Convention::fairseq;
    } else {
      fail(Exit::usage, "forward: --loss knows reduction, zero_infinity, smoothing and convention, not '{}'", name);
    }
  }
  return o;
}

void refuse_unknown(const ForwardModel& model, const NamedInputs& in) {
  const auto known = model.inputs();
  for (const auto& [name, t] : in.all())
    require_data(std::find(known.begin(), known.end(), name) != known.end(), "forward: this model has no input '{}'; it takes {}", name, fmt::join(known, ", "));
}

int compare(const ForwardCommand& o, ForwardModel& model, Context& context) {
  const std::vector<ComparedTensor> rows = compare_case(model, context, o.test_case);
  bool ok = true;
  TextTable table({{"tensor"}, {"worst error", true}, {"tolerance", true}, {""}});
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const ComparedTensor& r : rows) {
    ok = ok && r.ok;
    table.row({r.name, fmt::format("{:.2e}", r.worst), fmt::format("{:.2e}", r.tolerance), r.ok ? "ok" : r.complaint});
    list.push_back({{"tensor", r.name}, {"worst_error", r.worst}, {"tolerance", r.tolerance}, {"ok", r.ok}, {"complaint", r.complaint}});
  }
  if (o.common.json) print_json({{"case", o.test_case}, {"ok", ok}, {"tensors", list}});
  else fmt::print("{}{}: {} of {} tensors agree\n", table.text(), o.test_case, std::count_if(rows.begin(), rows.end(), [](const auto& r) { return r.ok; }), rows.size());
  return ok ? 0 : int(Exit::failed);
}

int forward(const ForwardCommand& o) {
  Context& context = context_of(o.common);
  const auto model = open_forward_model(o.directory, context);
  if (!o.test_case.empty()) return compare(o, *model, context);
  require(!o.in.empty() && !o.out.empty(), "forward: --in FILE.safetensors and --out FILE.safetensors are needed (or --case DIR)");
  const NamedInputs in(SafetensorsFile(o.in).load_all(context));
  refuse_unknown(*model, in);
  const ForwardOptions options{.hidden_states = o.hidden_states, .training = in.has("gumbel_noise"), .loss = loss_override(o.loss)};
  const bool only_ids = !o.generate.empty() && !o.hidden_states && o.gradients.empty() && !in.has("labels") && !in.has("decoder_input_ids");   // a decoder to be run on nothing else
  NamedTensors results = only_ids ? NamedTensors() : run_forward(*model, in, options, split(o.gradients, ','));
  if (!o.generate.empty())
    for (auto& t : model->generate(in, assignments(o.generate, "--generate"))) results.push_back(std::move(t));
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

void add_forward(Command program, Run& run) {
  auto o = std::make_shared<ForwardCommand>();
  Command app = add_command(program, "forward", "a Hugging Face model on given inputs: outputs, loss, gradients, generated ids",
                            "alinea forward mbart-dir --in inputs.safetensors --out outputs.safetensors --hidden-states\n"
                            "alinea forward wav2vec2-dir --in in.safetensors --out out.safetensors --grad lm_head.weight,lm_head.bias --loss reduction=mean\n"
                            "alinea forward mbart-dir --in in.safetensors --out out.safetensors --generate num_beams=5,max_length=40,early_stopping=never\n"
                            "alinea forward DIR --case DIR");
  app.add_option("directory", o->directory, "config.json and weights, as save_pretrained writes them").required().type_name("DIR");
  app.add_option("--in", o->in, "inputs by name: input_values, input_features, input_ids, attention_mask, labels, …").type_name("FILE");
  app.add_option("--out", o->out, "outputs by name; gradients as grad.NAME").type_name("FILE");
  app.add_flag("--hidden-states", o->hidden_states, "also every layer's states");
  app.add_option("--grad", o->gradients, "parameters whose gradient of the loss is wanted, or all").type_name("NAME,…");
  app.add_option("--loss", o->loss, "instead of the configuration's: reduction=sum|mean, zero_infinity=true|false, smoothing=E, convention=torch|fairseq").type_name("K=V,…");
  app.add_option("--generate", o->generate, "Hugging Face's settings, over generation_config.json; lists joined with +, none unsets").type_name("K=V,…");
  app.add_option("--case", o->test_case, "compare with its expected.safetensors by the rule in case.json; exit 1 if a tensor is off").type_name("DIR");
  add_common(app, o->common, Common::device | Common::json);
  app.callback([o, &run] { run = [o] { return forward(*o); }; });
}

}  // namespace alinea
