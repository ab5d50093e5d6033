// alinea explain attention: each family's definition, options, masks and cost.
#include <nlohmann/json.hpp>

#include "apps/explain.h"
#include "nn/attention/attention.h"

namespace alinea {

namespace {

using json = nlohmann::ordered_json;

struct ChosenSizes : AttentionSizes {
  ChosenSizes() : AttentionSizes{8, 4, 64, 512, 64} {}
  void fields(Config& c) {
    c.field("B", B, "batch"), c.field("H", H, "heads"), c.field("T", T, "target rows"), c.field("S", S, "source columns"), c.field("D", D, "head width");
  }
};

std::string masks_of(const AttentionFamily& f) {
  std::string names;
  for (const auto& [rule, name] : {std::pair{Mask::Rule::all, "all"}, {Mask::Rule::causal, "causal"}, {Mask::Rule::staircase, "staircase"}, {Mask::Rule::chunk, "chunk"}, {Mask::Rule::given, "given"}}) {
    Mask mask;
    mask.rule = rule;
    if (f.honours(mask)) names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return names;
}

}  // namespace

int explain_attention(const ExplainOptions& o) {
  Context& context = context_of(o.common);
  Config config = config_of(o.common);
  ChosenSizes n;
  n.fields(config);
  config.refuse_unread();
  require(n.B > 0 && n.H > 0 && n.T > 0 && n.S > 0 && n.D > 0, "explain attention: B, H, T, S and D must be positive");
  json list = json::array();
  std::vector<const AttentionFamily*> families;
  if (!o.family.empty()) families.push_back(&attention_family(o.family));
  else
    for (const AttentionFamily& f : attention_families()) families.push_back(&f);
  if (!o.common.json) fmt::print("B {} · H {} · T {} · S {} · D {}\n", n.B, n.H, n.T, n.S, n.D);
  for (const AttentionFamily* f : families) {
    json options = json::array(), variants = json::array();
    for (const auto& field : f->options()) options.push_back({{"name", field.name}, {"default", field.value}, {"help", field.help}});
    for (const std::string_view v : f->variants) {
      const Cost cost = f->make(context, Config::text(v, "variant"), {.heads = n.H, .width = n.D})->cost(n);
      variants.push_back({{"options", v}, {"flops", cost.flops}, {"saved_bytes", cost.saved_bytes}, {"state_bytes", cost.state_bytes}});
    }
    list.push_back({{"name", f->name}, {"definition", f->definition}, {"cost_formula", f->cost_formula}, {"source", f->source}, {"masks", masks_of(*f)},
                    {"needs_policy", f->needs_policy}, {"options", options}, {"variants", variants}});
    if (o.common.json) continue;
    TextTable table({{""}, {""}});
    table.row({"  definition", std::string(f->definition)});
    table.row({"  source", std::string(f->source)});
    table.row({"  masks", masks_of(*f) + (f->needs_policy ? "; needs policy logits" : "")});
    table.row({"  cost", std::string(f->cost_formula)});
    for (const auto& option : options)
      table.row({"  " + option["name"].get<std::string>(), option["help"].get<std::string>() + "; default " + option["default"].get<std::string>()});
    for (const auto& v : variants)
      table.row({"  " + (v["options"] == "{}" ? std::string("as it is") : v["options"].get<std::string>()),
                 fmt::format("{:.1f} MFLOP forward and backward, {} kept for backward, {} decoder state", v["flops"].get<double>() / 1e6, show_bytes(v["saved_bytes"].get<double>()),
                             show_bytes(v["state_bytes"].get<double>()))});
    fmt::print("\n{}\n{}", f->name, table.text());
  }
  if (o.common.json) print_json(list);
  return 0;
}

}  // namespace alinea
