#include "apps/sound_task.h"

#include <cmath>

#include "apps/ctc_evaluate.h"
#include "models/hub/model_directory.h"
#include "models/hub/wav2vec2.h"

namespace alinea {

namespace {

using fs_path = std::filesystem::path;

// Training starts from a wav2vec2 and an mBART, not from a model that is whole.
bool joins(const fs_path& init) { return model_type_of(model_path(init)) == Wav2Vec2Config().model_type; }

// start: the token that a translation begins with.
std::unique_ptr<SpeechTranslation> open(SoundTask<SpeechTranslation>::TrainingConfig& c, const fs_path& init, int32_t start, Context& context) {
  if (!joins(init)) return load_speech_translation(model_path(init), c.model, context);
  c.model.decoder_start_token_id = start;
  return join_speech_translation(model_path(init), model_path(c.decoder_from), c.model, context, RandomKey{uint64_t(c.seed)}.child("model"));
}

std::unique_ptr<S2TTransformer> open(SoundTask<S2TTransformer>::TrainingConfig& c, const fs_path& init, int32_t, Context& context) {
  auto model = load_model(model_path(init), context);
  model->set_dropout(c.model.dropout, c.model.attention_dropout, c.model.activation_dropout);
  return model;
}

void prepare(SoundTask<SpeechTranslation>::TrainingConfig& c, const fs_path& init) {
  if (!joins(init)) {
    c.model = read_speech_translation_config(model_path(init));
    return;
  }
  require(!c.decoder_from.empty(), "train: {} is a wav2vec2; give an mBART whose decoder continues it: --set decoder_from=DIR", init.string());
  c.model = SpeechEncoderDecoderConfig::of_halves(model_path(init), model_path(c.decoder_from));
}

// Those of the directory, so that only what the file says differs.
void prepare(SoundTask<S2TTransformer>::TrainingConfig& c, const fs_path& init) { c.model = read_speech_model_config(model_path(init)); }

template <class C>
FeatureExtractor features_of(const C& config, const fs_path& init) {
  const fs_path directory = model_path(init);
  if constexpr (requires { config.model.encoder; })         // a wav2vec2 whose directory came without its settings
    if (!std::filesystem::exists(directory / "preprocessor_config.json") && !std::filesystem::exists(directory / "processor_config.json"))
      return extractor_of(config.model.encoder);
  return FeatureExtractor::open(directory);
}

int64_t words_of(const SpeechTranslation& model) { return model.config().decoder.vocab_size; }
int64_t words_of(const S2TTransformer& model) { return model.config().target_words; }

struct Ends {
  int64_t eos, pad;
};
Ends ends_of(const SpeechTranslation& model) { return {model.config().eos_token_id, model.config().pad_token_id}; }
Ends ends_of(const S2TTransformer& model) { return {model.config().eos_token, model.config().pad_token}; }

template <class C>
const C& checked(const C& config) {
  config.check();
  return config;
}

}  // namespace

template <class Model>
typename SoundTask<Model>::TrainingConfig SoundTask<Model>::read(Config file, const std::filesystem::path& init) {
  require(!init.empty(), "train: this model starts from a directory: --init-from DIR; or from a wav2vec2 there and an mBART by --set decoder_from=DIR");
  TrainingConfig config;
  if (file.has("decoder_from")) file.field("decoder_from", config.decoder_from, "run or directory of an mBART");
  prepare(config, init);
  config.fields(file);
  file.refuse_unread();
  require(!config.data.empty(), "train: no data; give --data DIR (alinea data prepare makes one)");
  return config;
}

template <class Model>
SoundTask<Model>::SoundTask(Context& context, const TrainingConfig& config, const std::filesystem::path& init)
    : context_(context),
      config_(checked(config)),
      tokenizer_(open_tokenizer(!config.decoder_from.empty() && joins(init) ? model_path(config.decoder_from) : model_path(init))),
      features_(features_of(config, init)),
      train_(WaveDataset::open(config.data, "train", config.waves.selection(false, true, config.seed, features_))),
      dev_(WaveDataset::open(config.data, "dev", config.waves.all(false, true, features_))),
      model_(open(config_, init, *for_language({}, *tokenizer_, train_.row(0).tgt_lang).decoder_start_token_id, context)),
      batches_(train_, config.waves.batch_seconds, RandomKey{uint64_t(config.seed)}.child("data")) {
  require_data(words_of(*model_) >= tokenizer_->size(), "{}: the model knows {} words, its tokenizer has {}", init.string(), words_of(*model_), tokenizer_->size());
  config_.model = model_->config();
}

template <class Model>
Config SoundTask<Model>::resolved() const {
  Config c;
  TrainingConfig(config_).fields(c);
  return c;
}

template <class Model>
std::span<const std::string_view> SoundTask<Model>::terms() const {
  static constexpr std::string_view names[] = {"audio_seconds"};
  return names;
}

template <class Model>
BatchLoss SoundTask<Model>::next_loss(const Pass& pass) {
  const HostWaves batch = batches_.next();
  const SoundLoss loss = sound_loss(*model_, context_, train_, batch, *tokenizer_, config_.loss.smoothing, pass);
  return {loss.mean, {batch.seconds}, loss.labels};
}

template <class Model>
Validation SoundTask<Model>::validate(int64_t, std::span<const double>) {
  const SoundScores s = evaluate_sounds(*model_, context_, dev_, *tokenizer_, config_.validation.decoding, config_.validation.sentences);
  return {.metrics = {{"loss", s.loss}, {"perplexity", std::exp(s.loss)}, {"bleu", s.text.bleu}},
          .quality = s.text.bleu,
          .message = fmt::format("dev loss {:.3f}  BLEU {:.1f}", s.loss, s.text.bleu)};
}

template <class Model>
void SoundTask<Model>::save(const std::filesystem::path& folder) {
  save_model(folder, *model_);
  features_.save(folder);
  tokenizer_->save(folder);
  const GenerationConfig decoding = for_language(config_.validation.decoding, *tokenizer_, train_.row(0).tgt_lang);
  const Ends ends = ends_of(*model_);
  save_generation_config(folder, decoding.with_tokens(*decoding.decoder_start_token_id, ends.eos, ends.pad));
}

template class SoundTask<SpeechTranslation>;
template class SoundTask<S2TTransformer>;

}  // namespace alinea
