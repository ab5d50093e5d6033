// alinea explain: a model layer by layer (shapes, parameters, FLOPs, bytes kept for backward).
#include <algorithm>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/explain.h"
#include "apps/run_directory.h"
#include "apps/speech_task.h"
#include "apps/text_task.h"
#include "models/hub/mbart.h"
#include "models/hub/speech_to_text.h"
#include "nn/attention/attention.h"

namespace alinea {

namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

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

// A training configuration has a stage or the model under "model"; a model's own config.json is the model, ours or Hugging Face's.
template <class Train, class Hub>
decltype(Train::model) model_config(const ExplainOptions& o, const std::string& type, Config file) {
  Train train;
  if (file.has("model") || file.has("stage")) {
    train.fields(file);
  } else if (type == Hub().model_type) {
    return Hub::read(file);                                 // transformers' keys, of which some are not ours
  } else {
    train.model.fields(file);
  }
  file.refuse_unread();
  if (train.model.target_words == 0) {
    note(o.common, "explain: the vocabulary comes with the data; taking {} words (--set model.target_words=N for another size)", assumed_words);
    train.model.target_words = assumed_words;
  }
  return train.model;
}

// One batch: states are the encoder's positions, of `frames` log-mel frames (0: of text, one per token).
struct Sizes {
  int64_t batch, frames, states, tokens, decisions;
  bool tied = true;                                         // the embedding table is the output layer
};

// Rows that a weight is multiplied with in one forward pass.
int64_t rows_through(const std::string& layer, const Sizes& n) {
  const auto within = [&](const char* part) { return layer.find(part) != std::string::npos; };
  const bool table = within("decoder.embed_tokens") || within("model.shared");
  if (within("encoder.embed_tokens") || within("embed_positions") || layer == "final_logits_bias" || (table && !n.tied)) return 0;   // looked up, not multiplied
  if (within(".stem.out")) return n.batch * n.states;
  for (const std::string_view convolution : {".stem.", ".conv_layers."})
    if (const size_t at = layer.find(convolution); at != std::string::npos)
      return n.batch * (n.frames >> (std::stoi(layer.substr(at + convolution.size())) + 1));
  if (within(".encoder_attn.k_proj") || within(".encoder_attn.v_proj")) return n.batch * n.states;
  if (within(".policy.k.")) return n.batch * n.decisions;
  return n.batch * (table || within("model.decoder.") || within("lm_head") ? n.tokens : n.states);
}

struct Layer {
  std::string name, shapes;
  int64_t parameters = 0;
  double flops = 0;                                         // forward; a multiplication and an addition are two
};

std::vector<Layer> layers_of(Module& model, const Sizes& n) {
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
void add_attention_costs(std::vector<Layer>& layers, const TransformerConfig& c, const Sizes& n) {
  const auto add = [&](const std::string& name, const AttentionChoice& choice, int64_t heads, int64_t count, int64_t T, int64_t S) {
    const int64_t D = c.d_model / heads;
    double flops = 0;
    for (int64_t i = 0; i < count; ++i) {
      const AttentionSpec spec = choice.layer(i);
      flops += attention_family(spec.name).make(Context::cpu(), Config::text(spec.options, spec.name), {.heads = heads, .width = D})->cost({n.batch, heads, T, S, D}).flops;
    }
    layers.push_back({.name = fmt::format("{} x {}", count, name), .shapes = fmt::format("{} {} rows {} columns", choice.describe(), T, S), .parameters = 0, .flops = flops / 3});
  };
  add("encoder self-attention", c.attention.encoder_self, c.heads, c.encoder_layers, n.states, n.states);
  add("decoder self-attention", c.attention.decoder_self, c.heads_of_decoder(), c.decoder_layers, n.tokens, n.tokens);
  add("decoder cross attention", c.attention.decoder_cross, c.heads_of_decoder(), c.decoder_layers, n.tokens, n.states);
}

// What explain needs of an architecture: the model, its choices, and one training loss on a tape.
struct Subject {
  Sizes n;
  std::string input;                                        // "64 frames (16 states)"
  std::unique_ptr<Module> model;
  const TransformerConfig* config;
  std::function<void(Tape&)> loss;
};

Tensor random_ids(Context& context, Draw& draw, const Shape& shape, int64_t first, int64_t end) {
  std::vector<int64_t> ids(static_cast<size_t>(shape.count()));
  for (int64_t& id : ids) id = draw.integer(first, end - 1);
  return context.from(ids.data(), shape);
}

Subject speech_subject(Context& context, const S2TConfig& config, const ExplainOptions& o) {
  config.check();
  const int64_t per_state = config.frames_per_state(), states = (o.frames + per_state - 1) / per_state;
  const Sizes n{.batch = o.batch, .frames = states * per_state, .states = states, .tokens = o.tokens, .decisions = (states + config.policy.pooling - 1) / config.policy.pooling, .tied = config.tie_embeddings};
  auto model = std::make_unique<S2TTransformer>(context, config, RandomKey{1});
  if (config.has_policy) model->use_cross_attention("monotonic");   // as it trains
  S2TTransformer& m = *model;
  auto loss = [&m, &context, n](Tape& tape) {
    const S2TConfig& c = m.config();
    Draw draw(RandomKey{1}.child("explain"));
    std::vector<float> features(size_t(n.batch * n.frames * c.input_bins));
    for (float& x : features) x = float(draw.normal());
    S2TBatch b;
    b.features = context.from(features.data(), {n.batch, n.frames, c.input_bins});
    b.frames.assign(size_t(n.batch), int32_t(n.frames));
    b.target_lengths.assign(size_t(n.batch), int32_t(n.tokens));
    b.decoder_in = random_ids(context, draw, {n.batch, n.tokens}, 2, c.target_words);
    b.labels = random_ids(context, draw, {n.batch, n.tokens}, 2, c.target_words);
    if (c.source_words > 0) b.frame_labels = random_ids(context, draw, {n.batch, n.states}, 0, c.source_words);
    const double policy = c.has_policy ? 1 : 0;
    m.loss(b, c.has_policy ? CrossAttention::monotonic : CrossAttention::full, {.frame = c.source_words > 0 ? 1.0 : 0.0, .latency = policy, .variance = policy},
           Pass{&tape, RandomKey{1}, true});
  };
  return {n, fmt::format("{} frames ({} states)", n.frames, n.states), std::move(model), &m.config(), loss};
}

Subject text_subject(Context& context, TextConfig config, const ExplainOptions& o) {
  if (config.source_words == 0) config.source_words = config.target_words;
  config.check();
  const Sizes n{.batch = o.batch, .frames = 0, .states = o.source_tokens, .tokens = o.tokens, .decisions = 0, .tied = config.tie_embeddings};
  auto model = std::make_unique<TextTransformer>(context, config, RandomKey{1});
  TextTransformer& m = *model;
  auto loss = [&m, &context, n](Tape& tape) {
    const TextConfig& c = m.config();
    Draw draw(RandomKey{1}.child("explain"));
    TextBatch b;
    b.source = random_ids(context, draw, {n.batch, n.states}, 2, c.source_words);
    b.decoder_in = random_ids(context, draw, {n.batch, n.tokens}, 2, c.target_words);
    b.labels = random_ids(context, draw, {n.batch, n.tokens}, 2, c.target_words);
    b.source_lengths.assign(size_t(n.batch), int32_t(n.states));
    b.target_lengths.assign(size_t(n.batch), int32_t(n.tokens));
    m.loss(b, 0.1, Pass{&tape, RandomKey{1}, true});
  };
  return {n, fmt::format("{} source tokens", n.states), std::move(model), &m.config(), loss};
}

Subject subject_of(Context& context, const ExplainOptions& o) {
  Config file = config_in(o);
  std::string type = S2TConfig().model_type;
  Config model = file.has("model") ? file.at("model") : file;
  if (model.has("model_type")) model.field("model_type", type, "names the architecture");
  const std::string text = TextConfig().model_type, mbart = MBartConfig().model_type, speech = S2TConfig().model_type, hub_speech = Speech2TextConfig().model_type;
  if (type == text || type == mbart) return text_subject(context, model_config<TextTrainConfig, MBartConfig>(o, type, file), o);
  require(type == speech || type == hub_speech, "explain: model_type '{}' is not {}, {}, {} or {}", type, speech, hub_speech, text, mbart);
  return speech_subject(context, model_config<SpeechTrainConfig, Speech2TextConfig>(o, type, file), o);
}

struct Kept {
  std::string op;
  int64_t bytes;
};

std::vector<Kept> kept_for_backward(const Subject& s) {
  Tape tape;
  s.loss(tape);
  std::vector<Kept> kept;
  for (const auto& [op, bytes] : tape.bytes_by_op()) kept.push_back({std::string(op), bytes});
  std::stable_sort(kept.begin(), kept.end(), [](const Kept& a, const Kept& b) { return a.bytes > b.bytes; });
  return kept;
}

void print_model(const std::vector<Layer>& layers, const std::vector<Kept>& kept, const Subject& s) {
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
  fmt::print("batch of {} with {} and {} tokens\n\n{}\n{}", s.n.batch, s.input, s.n.tokens, table.text(), memory.text());
}

int explain_model(const ExplainOptions& o) {
  const Subject s = subject_of(context_of(o.common), o);
  const Sizes& n = s.n;
  require(n.states <= s.config->max_positions && n.tokens <= s.config->max_positions, "explain: {} states and {} tokens exceed max_positions {}", n.states, n.tokens,
          s.config->max_positions);
  std::vector<Layer> layers = layers_of(*s.model, n);
  add_attention_costs(layers, *s.config, n);
  const std::vector<Kept> kept = kept_for_backward(s);
  if (!o.common.json) return print_model(layers, kept, s), 0;
  json list = json::array(), memory = json::object();
  for (const Layer& l : layers) list.push_back({{"name", l.name}, {"shapes", l.shapes}, {"parameters", l.parameters}, {"flops_forward", l.flops}});
  for (const Kept& k : kept) memory[k.op] = k.bytes;
  print_json({{"batch", n.batch}, {"frames", n.frames}, {"states", n.states}, {"tokens", n.tokens}, {"parameters", parameter_count(*s.model)}, {"layers", list}, {"bytes_kept_for_backward", memory}});
  return 0;
}

int explain(const ExplainOptions& o) {
  if (o.subject == "attention") return explain_attention(o);
  if (o.subject == "tokens") return explain_tokens(o);
  require(o.family.empty(), "explain {}: takes no second name '{}'", o.subject, o.family);
  require(fs::exists(o.subject), "explain: '{}' is neither a run, a model folder, a configuration file nor the word attention or tokens", o.subject);
  require(o.batch > 0 && o.frames > 0 && o.source_tokens > 0 && o.tokens > 0, "explain: --batch, --frames, --source-tokens and --tokens must be positive");
  return explain_model(o);
}

}  // namespace

void add_explain(Command program, Run& run) {
  auto o = std::make_shared<ExplainOptions>();
  Command app = add_command(program, "explain", "a model layer by layer: shapes, parameters, FLOPs, bytes kept for backward; or the attention families",
                              "alinea explain runs/demo\nalinea explain model.json --batch 16 --set model.d_model=256\nalinea explain attention softmax --set T=1024 --set S=1024\n"
                              "alinea explain tokens mbart-large-50 \"A man.\" --src en_XX --tgt de_DE --target \"Ein Mann.\"");
  app.add_option("subject", o->subject, "a run, a model folder, a configuration, or the word attention or tokens").required().type_name("RUN|CONFIG|attention|tokens");
  app.add_option("family", o->family, "explain attention: one family only; explain tokens: the model or tokenizer directory").type_name("NAME|DIR");
  app.add_option("text", o->text, "explain tokens: what is to be translated").type_name("TEXT");
  app.add_option("--src", o->source_language, "explain tokens: its language").type_name("LANGUAGE");
  app.add_option("--tgt", o->target_language, "explain tokens: the language of the translation").type_name("LANGUAGE");
  app.add_option("--target", o->target_text, "explain tokens: the translation; without it the text stands in for it").type_name("TEXT");
  app.add_option("--batch", o->batch, "utterances or sentences").show_default();
  app.add_option("--frames", o->frames, "log-mel frames of each, of speech models").show_default();
  app.add_option("--source-tokens", o->source_tokens, "source tokens of each, of text models").show_default();
  app.add_option("--tokens", o->tokens, "target tokens of each").show_default();
  app.add_option("--set", o->common.set, "a value of the configuration, or a size (B H T S D) of explain attention").type_name("NAME=VALUE").one_at_a_time();
  add_common(app, o->common, Common::device | Common::json);
  app.callback([o, &run] { run = [o] { return explain(*o); }; });
}

}  // namespace alinea
