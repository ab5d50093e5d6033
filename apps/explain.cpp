// alinea explain: a model layer by layer (shapes, parameters, FLOPs, bytes kept for backward), and the registry of attention families.
#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/run_directory.h"
#include "apps/speech_task.h"
#include "models/s2t_transformer.h"
#include "nn/attention/attention.h"

namespace alinea {

namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

struct ExplainOptions {
  CommonOptions common;
  std::string subject, family;
  int64_t batch = 8, frames = 400, tokens = 20;
};

constexpr int64_t assumed_words = 100;                      // of a vocabulary that is only known when data is there

Config config_in(const ExplainOptions& o) {
  const fs::path subject = o.subject;
  CommonOptions from = o.common;
  from.config = subject.string();
  if (RunDirectory::exists(subject)) {
    const auto best = RunDirectory::best(subject);
    from.config = best && fs::exists(best->path / "config.json") ? (best->path / "config.json").string() : (subject / "config.json").string();
  } else if (fs::is_directory(subject)) {
    from.config = (subject / "config.json").string();
  }
  return config_of(from);
}

// A training configuration has a stage or the model under "model"; a model's own config.json is the model.
S2TConfig model_config(const ExplainOptions& o) {
  Config file = config_in(o);
  S2TConfig model;
  if (file.has("model") || file.has("stage")) {
    SpeechTrainConfig train;
    train.fields(file);
    model = train.model;
  } else {
    model.fields(file);
  }
  file.refuse_unread();
  if (model.target_words == 0) {
    note(o.common, "explain: the vocabulary comes with the data; taking {} words (--set model.target_words=N for another size)", assumed_words);
    model.target_words = assumed_words;
  }
  return model;
}

struct Sizes {
  int64_t batch, frames, states, tokens, decisions;
};

// Rows that a weight is multiplied with in one forward pass.
int64_t rows_through(const std::string& layer, const Sizes& n) {
  const auto within = [&](const char* part) { return layer.find(part) != std::string::npos; };
  if (layer.starts_with("encoder.stem.")) return n.batch * (n.frames >> (std::stoi(layer.substr(13)) + 1));
  if (within(".cross.k") || within(".cross.v")) return n.batch * n.states;
  if (within(".policy.k.")) return n.batch * n.decisions;
  return n.batch * (layer.starts_with("decoder") ? n.tokens : n.states);
}

struct Layer {
  std::string name, shapes;
  int64_t parameters = 0;
  double flops = 0;                                         // forward; a multiplication and an addition are two
};

std::vector<Layer> layers_of(S2TTransformer& model, const Sizes& n) {
  std::vector<Layer> layers;
  model.visit("", [&](const std::string& name, Parameter& p) {
    const std::string layer = name.substr(0, name.rfind('.'));
    if (layers.empty() || layers.back().name != layer) layers.push_back({.name = layer, .shapes = {}, .parameters = 0, .flops = 0});
    Layer& l = layers.back();
    l.shapes += (l.shapes.empty() ? "" : " ") + name.substr(name.rfind('.') + 1) + p.value.shape().str();
    l.parameters += p.value.count();
    if (p.value.rank() >= 2) l.flops += 2.0 * double(p.value.count()) * double(rows_through(layer, n));
  });
  return layers;
}

// Attention itself has no weights: the registry knows its cost. FLOPs are those of forward and backward; about a third are forward.
void add_attention_costs(std::vector<Layer>& layers, const S2TConfig& c, const Sizes& n) {
  const int64_t D = c.d_model / c.heads;
  const auto add = [&](const std::string& name, const AttentionChoice& choice, int64_t count, int64_t T, int64_t S) {
    double flops = 0;
    for (int64_t i = 0; i < count; ++i) {
      const AttentionSpec spec = choice.layer(i);
      flops += attention_family(spec.name).make(Context::cpu(), Config::text(spec.options, spec.name), {.heads = c.heads, .width = D})->cost({n.batch, c.heads, T, S, D}).flops;
    }
    layers.push_back({.name = fmt::format("{} x {}", count, name), .shapes = fmt::format("{} {} rows {} columns", choice.describe(), T, S), .parameters = 0, .flops = flops / 3});
  };
  add("encoder self-attention", c.attention.encoder_self, c.encoder_layers, n.states, n.states);
  add("decoder self-attention", c.attention.decoder_self, c.decoder_layers, n.tokens, n.tokens);
  add("decoder cross attention", c.attention.decoder_cross, c.decoder_layers, n.tokens, n.states);
}

S2TBatch random_batch(Context& context, const S2TConfig& c, const Sizes& n, Draw& draw) {
  std::vector<float> features(size_t(n.batch * n.frames * c.input_bins));
  for (float& x : features) x = float(draw.normal());
  const auto ids = [&](int64_t count, int64_t first, int64_t end) {
    std::vector<int64_t> v(static_cast<size_t>(count));
    for (int64_t& id : v) id = draw.integer(first, end - 1);
    return v;
  };
  S2TBatch b;
  b.features = context.from(features.data(), {n.batch, n.frames, c.input_bins});
  b.frames.assign(size_t(n.batch), int32_t(n.frames));
  b.target_lengths.assign(size_t(n.batch), int32_t(n.tokens));
  b.decoder_in = context.from(ids(n.batch * n.tokens, 2, c.target_words).data(), {n.batch, n.tokens});
  b.labels = context.from(ids(n.batch * n.tokens, 2, c.target_words).data(), {n.batch, n.tokens});
  if (c.source_words > 0) b.frame_labels = context.from(ids(n.batch * n.states, 0, c.source_words).data(), {n.batch, n.states});
  return b;
}

struct Kept {
  std::string op;
  int64_t bytes;
};

std::vector<Kept> kept_for_backward(Context& context, S2TTransformer& model, const Sizes& n) {
  const S2TConfig& c = model.config();
  Draw draw(RandomKey{1}.child("explain"));
  const S2TBatch batch = random_batch(context, c, n, draw);
  Tape tape;
  const LossConfig weights{.frame = c.source_words > 0 ? 1.0 : 0.0, .latency = c.has_policy ? 1.0 : 0.0, .variance = c.has_policy ? 1.0 : 0.0};
  model.loss(batch, c.has_policy ? CrossAttention::monotonic : CrossAttention::full, weights, Pass{&tape, RandomKey{1}, true});
  std::vector<Kept> kept;
  for (const auto& [op, bytes] : tape.bytes_by_op()) kept.push_back({std::string(op), bytes});
  std::stable_sort(kept.begin(), kept.end(), [](const Kept& a, const Kept& b) { return a.bytes > b.bytes; });
  return kept;
}

void print_model(const std::vector<Layer>& layers, const std::vector<Kept>& kept, const Sizes& n) {
  TextTable table({{"layer"}, {"shapes"}, {"parameters", true}, {"MFLOP forward", true}});
  int64_t parameters = 0, bytes = 0;
  double flops = 0;
  for (const Layer& l : layers) {
    table.row({l.name, l.shapes, l.parameters ? std::to_string(l.parameters) : "", l.flops > 0 ? fmt::format("{:.2f}", l.flops / 1e6) : ""});
    parameters += l.parameters;
    flops += l.flops;
  }
  table.row({"sum", "", std::to_string(parameters), fmt::format("{:.2f}", flops / 1e6)});
  TextTable memory({{"op"}, {"kept for backward", true}});
  for (const Kept& k : kept) memory.row({k.op, show_bytes(double(k.bytes))}), bytes += k.bytes;
  memory.row({"sum", show_bytes(double(bytes))});
  fmt::print("batch of {} with {} frames ({} states) and {} tokens\n\n{}\n{}", n.batch, n.frames, n.states, n.tokens, table.text(), memory.text());
}

int explain_model(const ExplainOptions& o) {
  const S2TConfig config = model_config(o);
  config.check();
  const int64_t per_state = config.frames_per_state(), states = (o.frames + per_state - 1) / per_state;
  const Sizes n{.batch = o.batch, .frames = states * per_state, .states = states, .tokens = o.tokens, .decisions = (states + config.policy.pooling - 1) / config.policy.pooling};
  require(n.states <= config.max_positions && n.tokens <= config.max_positions, "explain: {} states and {} tokens exceed max_positions {}", n.states, n.tokens,
          config.max_positions);
  Context& context = context_of(o.common);
  S2TTransformer model(context, config, RandomKey{1});
  if (config.has_policy) model.use_cross_attention("monotonic");   // as it trains
  std::vector<Layer> layers = layers_of(model, n);
  add_attention_costs(layers, config, n);
  const std::vector<Kept> kept = kept_for_backward(context, model, n);
  if (!o.common.json) return print_model(layers, kept, n), 0;
  json list = json::array(), memory = json::object();
  for (const Layer& l : layers) list.push_back({{"name", l.name}, {"shapes", l.shapes}, {"parameters", l.parameters}, {"flops_forward", l.flops}});
  for (const Kept& k : kept) memory[k.op] = k.bytes;
  print_json({{"batch", n.batch}, {"frames", n.frames}, {"states", n.states}, {"tokens", n.tokens}, {"parameters", parameter_count(model)}, {"layers", list}, {"bytes_kept_for_backward", memory}});
  return 0;
}

// ---- explain attention

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

int explain(const ExplainOptions& o) {
  if (o.subject == "attention") return explain_attention(o);
  require(o.family.empty(), "explain {}: takes no second name '{}'", o.subject, o.family);
  require(fs::exists(o.subject), "explain: '{}' is neither a run, a model folder, a configuration file nor the word attention", o.subject);
  require(o.batch > 0 && o.frames > 0 && o.tokens > 0, "explain: --batch, --frames and --tokens must be positive");
  return explain_model(o);
}

}  // namespace

void add_explain(Command program, Run& run) {
  auto o = std::make_shared<ExplainOptions>();
  Command app = add_command(program, "explain", "a model layer by layer: shapes, parameters, FLOPs, bytes kept for backward; or the attention families",
                              "alinea explain runs/demo\nalinea explain model.json --batch 16 --set model.d_model=256\nalinea explain attention softmax --set T=1024 --set S=1024");
  app.add_option("subject", o->subject, "a run, a model folder, a configuration, or the word attention").required().type_name("RUN|CONFIG|attention");
  app.add_option("family", o->family, "explain attention: one family only").type_name("NAME");
  app.add_option("--batch", o->batch, "utterances").show_default();
  app.add_option("--frames", o->frames, "log-mel frames of each").show_default();
  app.add_option("--tokens", o->tokens, "target tokens of each").show_default();
  app.add_option("--set", o->common.set, "a value of the configuration, or a size (B H T S D) of explain attention").type_name("NAME=VALUE").one_at_a_time();
  add_common(app, o->common, Common::device | Common::json);
  app.callback([o, &run] { run = [o] { return explain(*o); }; });
}

}  // namespace alinea
