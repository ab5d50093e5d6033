#include "models/hub/model_directory.h"

#include <set>

#include "engine/core/files.h"
#include "models/hub/mbart.h"
#include "models/hub/speech_to_text.h"

namespace alinea {

namespace {

std::string config_text(const TextConfig& config, DType dtype) {
  if (config.model_type == "mbart") return Seq2SeqConfig::text_of(MBartConfig::of(config), config.origin, dtype);
  Config c;
  TextConfig(config).fields(c);
  return c.dump();
}

std::string config_text(const S2TConfig& config, DType dtype) {
  if (config.model_type == "speech_to_text") return Seq2SeqConfig::text_of(Speech2TextConfig::of(config), config.origin, dtype);
  Config c;
  S2TConfig(config).fields(c);
  return c.dump();
}

// The rarity of tokens is not written where nobody has told it.
bool untold(const std::pair<std::string, Tensor>& tensor) {
  if (tensor.first != "rarity") return false;
  const auto values = tensor.second.values<float>();
  return std::all_of(values.begin(), values.end(), [](float v) { return v == 0; });
}

template <class Model>
void save(const std::filesystem::path& directory, Model& model) {
  std::filesystem::create_directories(directory);
  NamedTensors weights = parameters_of(model);
  write_atomically(directory / "config.json", config_text(model.config(), weights.front().second.dtype()));
  std::erase_if(weights, untold);
  save_weights(directory, outgoing(weights));
}

Config config_file(const std::filesystem::path& directory) {
  require_data(std::filesystem::exists(directory / "config.json"), "{}: there is no config.json; this is not a model directory", directory.string());
  return Config::file(directory / "config.json");
}

// Hub: the configuration of the architecture as transformers writes it, which may hold keys that are not ours.
template <class ModelConfig, class Hub>
ModelConfig read_config(const std::filesystem::path& directory) {
  ModelConfig config;
  const std::string own = config.model_type, hub = Hub().model_type, found = model_type_of(directory);
  require_data(found == own || found == hub, "{}: model_type '{}' is not supported here; {} and {} are", (directory / "config.json").string(), found, own, hub);
  Config file = config_file(directory);
  if (found == hub) return Hub::read(file);
  config.fields(file);
  file.refuse_unread();
  return config;
}

// Files may name a tied table by each of its uses, and hold sinusoids, which are computed here.
LoadRules rules_of(Module& model) {
  std::set<std::string> own;
  model.visit("", [&](const std::string& name, Parameter&) { own.insert(name); });
  const std::string shared = "model.shared.weight", decoder = "model.decoder.embed_tokens.weight", table = own.count(shared) ? shared : decoder;
  LoadRules rules{.optional = {"rarity", "final_logits_bias"}, .ignored = {"*.embed_positions.weights"}};
  for (const std::string& name : {shared, decoder, std::string("model.encoder.embed_tokens.weight"), std::string("lm_head.weight")})
    if (!own.count(name)) rules.aliases.push_back({name, table});
  return rules;
}

template <class Model>
std::unique_ptr<Model> load(const std::filesystem::path& directory, Context& context, const auto& config) {
  auto model = std::make_unique<Model>(context, config, RandomKey::deferred());
  load_weights(*model, Checkpoint::open(directory), rules_of(*model));
  return model;
}

}  // namespace

std::string model_type_of(const std::filesystem::path& directory) {
  std::string type;
  config_file(directory).field("model_type", type, "names the architecture in the file");
  return type;
}

void save_model(const std::filesystem::path& directory, S2TTransformer& model) { save(directory, model); }
void save_model(const std::filesystem::path& directory, TextTransformer& model) { save(directory, model); }

std::unique_ptr<S2TTransformer> load_model(const std::filesystem::path& directory, Context& context) { return load<S2TTransformer>(directory, context, read_config<S2TConfig, Speech2TextConfig>(directory)); }
std::unique_ptr<TextTransformer> load_text_model(const std::filesystem::path& directory, Context& context) { return load<TextTransformer>(directory, context, read_config<TextConfig, MBartConfig>(directory)); }

}  // namespace alinea
