#include "models/hub/wav2vec2.h"

#include <algorithm>

#include "engine/core/files.h"
#include "models/hub/config_text.h"
#include "models/hub/weights.h"

namespace alinea {

namespace {

const std::string prefix = "wav2vec2.";

bool is_head(const std::string& name) {
  return name.starts_with("lm_head.") || name.starts_with("quantizer.") || name.starts_with("project_q.") || name.starts_with("project_hid.");
}

// The encoder's names begin with wav2vec2. beside a head and not without one.
std::function<std::string(const std::string&)> renaming(bool model_has_head) {
  return [model_has_head](const std::string& name) {
    if (is_head(name)) return name;
    const bool prefixed = name.starts_with(prefix);
    if (model_has_head) return prefixed ? name : prefix + name;
    return prefixed ? name.substr(prefix.size()) : name;
  };
}

bool has_head(Module& model) {
  bool found = false;
  model.visit("", [&](const std::string& name, Parameter&) { found = found || is_head(name); });
  return found;
}

// A file may hold the mask vector of a model that never masks, and lack that of one that does.
LoadRules rules_of(const Wav2Vec2Config& config) {
  LoadRules rules;
  rules.optional = {"*masked_spec_embed"};
  if (!config.has_mask_vector()) rules.ignored = {"*masked_spec_embed"};
  return rules;
}

template <class Model>
std::unique_ptr<Model> load(const std::filesystem::path& directory, Context& context) {
  const Wav2Vec2Config config = read_wav2vec2_config(directory);
  auto model = std::make_unique<Model>(context, config, RandomKey::deferred());
  LoadRules rules = rules_of(config);
  rules.rename = renaming(has_head(*model));
  load_weights(*model, Checkpoint::open(directory), rules);
  return model;
}

}  // namespace

Wav2Vec2Config read_wav2vec2_config(const std::filesystem::path& directory) {
  const auto file = directory / "config.json";
  require_data(std::filesystem::exists(file), "{}: there is no config.json; this is not a model directory", directory.string());
  return of_file(file, [&] {
    Config tree = Config::file(file);
    Wav2Vec2Config config;
    config.fields(tree);
    config.origin.text = tree.dump();
    require_data(config.model_type == "wav2vec2", "{}: model_type '{}' is not wav2vec2", file.string(), config.model_type);
    config.check();
    return config;
  });
}

Wav2Vec2Head wav2vec2_head_of(const std::filesystem::path& directory) {
  const auto architectures = of_file(directory / "config.json", [&] {
    Config tree = Config::file(directory / "config.json");
    std::vector<std::string> names;
    if (tree.has("architectures")) tree.field("architectures", names, "the class that the weights are of");
    return names;
  });
  const auto named = [&](const char* name) { return std::find(architectures.begin(), architectures.end(), name) != architectures.end(); };
  if (named("Wav2Vec2ForCTC")) return Wav2Vec2Head::ctc;
  if (named("Wav2Vec2ForPreTraining")) return Wav2Vec2Head::pretraining;
  if (named("Wav2Vec2Model")) return Wav2Vec2Head::none;
  require_data(architectures.empty(), "{}: architecture {} is not supported; Wav2Vec2Model, Wav2Vec2ForCTC and Wav2Vec2ForPreTraining are",
               (directory / "config.json").string(), architectures[0]);
  const Checkpoint weights = Checkpoint::open(directory);
  return weights.has("lm_head.weight") ? Wav2Vec2Head::ctc : weights.has("project_q.weight") ? Wav2Vec2Head::pretraining : Wav2Vec2Head::none;
}

std::unique_ptr<Wav2Vec2> load_wav2vec2(const std::filesystem::path& directory, Context& context) { return load<Wav2Vec2>(directory, context); }
std::unique_ptr<Wav2Vec2ForCTC> load_wav2vec2_ctc(const std::filesystem::path& directory, Context& context) { return load<Wav2Vec2ForCTC>(directory, context); }
std::unique_ptr<Wav2Vec2ForPreTraining> load_wav2vec2_pretraining(const std::filesystem::path& directory, Context& context) {
  return load<Wav2Vec2ForPreTraining>(directory, context);
}

std::vector<std::string> start_from_wav2vec2(Module& model, const std::filesystem::path& directory, const std::vector<std::string>& fresh) {
  const auto rename = renaming(has_head(model));
  LoadRules rules{.optional = {"*masked_spec_embed", "adapter.*", "wav2vec2.adapter.*", "lm_head.*", "quantizer.*", "project_q.*", "project_hid.*"},
                  .ignored = {"*masked_spec_embed", "lm_head.*", "quantizer.*", "project_q.*", "project_hid.*"}};
  rules.rename = [rename, fresh](const std::string& name) {
    const std::string mine = rename(name);
    const bool kept = std::any_of(fresh.begin(), fresh.end(), [&](const std::string& head) { return mine.starts_with(head + "."); });
    return kept ? std::string() : mine;
  };
  return load_weights(model, Checkpoint::open(directory), rules);
}

void save_wav2vec2(const std::filesystem::path& directory, Module& model, const Wav2Vec2Config& config, const std::string& architecture) {
  std::filesystem::create_directories(directory);
  Config tree;
  std::vector<std::string> architectures{architecture};
  tree.field("architectures", architectures, "the class that the weights are of");
  Wav2Vec2Config(config).fields(tree);
  const NamedTensors weights = parameters_of(model);
  write_atomically(directory / "config.json", merged_config(config.origin, tree, weights.front().second.dtype()));
  save_weights(directory, outgoing(weights));
}

}  // namespace alinea
