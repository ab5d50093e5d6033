#include "models/hub/model_directory.h"

#include "engine/core/files.h"
#include "models/hub/config_text.h"
#include "models/hub/mbart.h"
#include "models/hub/speech_to_text.h"
#include "models/hub/wav2vec2.h"

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

std::string config_text(const SpeechEncoderDecoderConfig& config, DType dtype) {
  Config c;
  SpeechEncoderDecoderConfig(config).fields(c);
  return merged_config(config.origin, c, dtype);
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

std::string model_type_of(Config file) {
  std::string type;
  file.field("model_type", type, "names the architecture in the file");
  return type;
}

// Hub: the configuration of the architecture as transformers writes it, which may hold keys that are not ours.
template <class ModelConfig, class Hub>
ModelConfig read_config(const std::filesystem::path& directory) {
  const auto path = directory / "config.json";
  return of_file(path, [&] {
    Config file = model_config(directory);
    const std::string own = ModelConfig().model_type, hub = Hub().model_type, found = model_type_of(file);
    require_data(found == own || found == hub, "{}: model_type '{}' is not supported here; {} and {} are", path.string(), found, own, hub);
    if (found == hub) {
      const ModelConfig config = Hub::read(file);
      config.check(Hub::names());
      return config;
    }
    ModelConfig config;
    config.fields(file);
    file.refuse_unread();
    config.check();
    return config;
  });
}

// Tied tables go by several names; old files hold tables of sinusoids that are computed here.
LoadRules seq2seq_rules(bool tied, bool shared) {
  LoadRules rules{.optional = {"rarity", "final_logits_bias"}, .ignored = {"*embed_positions.weights", "*embed_positions._float_tensor", "*.version"}};
  if (shared)
    for (const char* name : {"model.encoder.embed_tokens.weight", "model.decoder.embed_tokens.weight", "lm_head.weight"})
      rules.aliases.push_back({name, "model.shared.weight"});
  else if (tied)
    rules.aliases.push_back({"lm_head.weight", "model.decoder.embed_tokens.weight"});
  return rules;
}

template <class Model>
std::unique_ptr<Model> load(const std::filesystem::path& directory, Context& context, const auto& config, LoadRules rules, DType matrices) {
  if (matrices == DType::bf16) rules.bf16 = {"*_proj.weight", "*fc1.weight", "*fc2.weight", "*_dense.weight", "*shared.weight", "*embed_tokens.weight", "*lm_head.weight"};
  auto model = std::make_unique<Model>(context, config, RandomKey::deferred());
  load_weights(*model, Checkpoint::open(directory), rules);
  return model;
}

}  // namespace

Config model_config(const std::filesystem::path& directory) {
  require_data(std::filesystem::exists(directory / "config.json"), "{}: there is no config.json; this is not a model directory", directory.string());
  return of_file(directory / "config.json", [&] { return Config::file(directory / "config.json"); });
}

std::string model_type_of(const std::filesystem::path& directory) {
  return of_file(directory / "config.json", [&] { return model_type_of(model_config(directory)); });
}

bool is_text_model(const std::string& type) { return type == TextConfig().model_type || type == MBartConfig().model_type; }

void save_model(const std::filesystem::path& directory, S2TTransformer& model) { save(directory, model); }
void save_model(const std::filesystem::path& directory, TextTransformer& model) { save(directory, model); }
void save_model(const std::filesystem::path& directory, SpeechTranslation& model) { save(directory, model); }

S2TConfig read_speech_model_config(const std::filesystem::path& directory) { return read_config<S2TConfig, Speech2TextConfig>(directory); }

std::unique_ptr<S2TTransformer> load_model(const std::filesystem::path& directory, Context& context, DType matrices) {
  const S2TConfig config = read_speech_model_config(directory);
  return load<S2TTransformer>(directory, context, config, seq2seq_rules(config.tie_embeddings, false), matrices);
}

std::unique_ptr<TextTransformer> load_text_model(const std::filesystem::path& directory, Context& context, DType matrices) {
  const TextConfig config = read_config<TextConfig, MBartConfig>(directory);
  return load<TextTransformer>(directory, context, config, seq2seq_rules(config.tie_embeddings, config.share_embeddings), matrices);
}

SpeechEncoderDecoderConfig read_speech_translation_config(const std::filesystem::path& directory) {
  const auto path = directory / "config.json";
  return of_file(path, [&] {
    Config file = model_config(directory);
    const std::string found = model_type_of(file);
    require_data(found == SpeechEncoderDecoderConfig().model_type, "{}: model_type '{}' is not supported here; speech-encoder-decoder is", path.string(), found);
    SpeechEncoderDecoderConfig config = SpeechEncoderDecoderConfig::read(file);
    config.check();
    return config;
  });
}

std::unique_ptr<SpeechTranslation> load_speech_translation(const std::filesystem::path& directory, Context& context, DType matrices) {
  return load_speech_translation(directory, read_speech_translation_config(directory), context, matrices);
}

std::unique_ptr<SpeechTranslation> load_speech_translation(const std::filesystem::path& directory, const SpeechEncoderDecoderConfig& config, Context& context,
                                                           DType matrices) {
  LoadRules rules{.optional = {"*masked_spec_embed"}, .ignored = {"*embed_positions.weights", "*.version"}};
  if (!config.encoder.has_mask_vector()) rules.ignored.push_back("*masked_spec_embed");
  if (config.decoder.tie_word_embeddings) rules.aliases.push_back({"decoder.lm_head.weight", "decoder.model.decoder.embed_tokens.weight"});
  return load<SpeechTranslation>(directory, context, config, rules, matrices);
}

std::unique_ptr<SpeechTranslation> join_speech_translation(const std::filesystem::path& encoder, const std::filesystem::path& decoder,
                                                           const SpeechEncoderDecoderConfig& config, Context& context, RandomKey key) {
  auto model = std::make_unique<SpeechTranslation>(context, config, key);
  start_from_wav2vec2(model->encoder(), encoder);
  const bool tied = config.decoder.tie_word_embeddings;
  LoadRules rules = seq2seq_rules(tied, false);
  rules.ignored.insert(rules.ignored.end(), {"model.encoder.*", "final_logits_bias", "rarity"});
  if (tied) rules.aliases.push_back({"model.shared.weight", "model.decoder.embed_tokens.weight"});
  else rules.ignored.push_back("model.shared.weight");
  load_weights(model->decoder(), Checkpoint::open(decoder), rules);
  return model;
}

GenerationConfig load_generation_config(const std::filesystem::path& directory) {
  const auto own = directory / "generation_config.json", file = std::filesystem::exists(own) ? own : directory / "config.json";
  return of_file(file, [&] {
    GenerationConfig config;
    Config tree = file == own ? Config::file(own) : model_config(directory);
    config.fields(tree);
    return config;
  });
}

void save_generation_config(const std::filesystem::path& directory, GenerationConfig config) {
  Config file;
  config.fields(file);
  write_atomically(directory / "generation_config.json", file.dump());
}

}  // namespace alinea
