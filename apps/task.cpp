#include "apps/task.h"

#include "apps/ctc_task.h"
#include "apps/pretraining_task.h"
#include "apps/run_directory.h"
#include "apps/sound_task.h"
#include "apps/speech_task.h"
#include "apps/text_task.h"
#include "models/hub/model_directory.h"
#include "models/hub/wav2vec2.h"

namespace alinea {

std::vector<double> read_figures(const std::vector<Figure>& figures) {
  std::vector<double> values;
  std::vector<size_t> on_gpu;
  for (const Figure& f : figures) {
    const bool gpu = f.tensor && f.tensor.context().device() == Device::cuda;
    if (gpu) on_gpu.push_back(values.size());
    values.push_back(gpu ? 0 : f.tensor ? f.tensor.item() : f.number);
  }
  if (on_gpu.empty()) return values;
  const auto n = int64_t(on_gpu.size());
  const Tensor together = figures[on_gpu[0]].tensor.context().empty({n}, DType::f64);
  for (int64_t i = 0; i < n; ++i) together.slice(0, i, i + 1).copy_from(figures[on_gpu[size_t(i)]].tensor.to(DType::f64).reshape({1}));
  const auto read = together.values<double>();
  for (size_t i = 0; i < on_gpu.size(); ++i) values[on_gpu[i]] = read[i];
  return values;
}

std::filesystem::path model_path(const std::filesystem::path& path, bool best) {
  if (!RunDirectory::exists(path)) return path;
  const auto checkpoint = best ? RunDirectory::best(path) : RunDirectory::last(path);
  require_data(checkpoint.has_value(), "{}: this run has no complete checkpoint yet", path.string());
  return checkpoint->path;
}

namespace {

constexpr std::string_view joined = "speech-encoder-decoder", speech_to_text = "speech_to_text";

std::string model_type(Config file, const std::filesystem::path& init) {
  std::string type = S2TConfig().model_type;
  if (file.has("model") && file.at("model").has("model_type"))
    file.at("model").field("model_type", type, "names the architecture");
  else if (!init.empty())
    type = model_type_of(model_path(init));
  const std::string speech = S2TConfig().model_type, text = TextConfig().model_type, waves = Wav2Vec2Config().model_type;
  if (type == waves && file.has("decoder_from")) type = joined;
  require(type == speech || is_text_model(type) || type == waves || type == joined || type == speech_to_text,
          "train: model.model_type '{}' is not {}, {}, {} (speech translation), {}, mbart (text) or {}", type, speech, joined, speech_to_text, text, waves);
  return type;
}

template <class C>
C read(Config file, C config = {}) {
  config.fields(file);
  file.refuse_unread();
  require(!config.data.empty(), "train: no data; give --data DIR (alinea data prepare makes one)");
  return config;
}

bool pretrains(Config file) {
  std::string stage;
  file.field("stage", stage, "pretrain or ctc");
  require(stage == "pretrain" || stage == "ctc", "train: stage '{}' is not pretrain or ctc, which wav2vec2 has", stage);
  return stage == "pretrain";
}

// What the file says goes before what the initial model says.
template <class C>
C read_wav2vec2(Config file, const std::filesystem::path& init) {
  C config;
  if (!init.empty()) config.model = read_wav2vec2_config(model_path(init));
  return read<C>(file, config);
}

// Builds the model for a vocabulary of a few words.
template <class C, class Model>
void check(Context& context, Config file, const std::filesystem::path& init) {
  C config = read<C>(file);
  config.check();
  config.model.source_words = config.model.target_words = 4;
  if (init.empty()) Model(context, config.model, RandomKey{1});
}

}  // namespace

std::unique_ptr<Task> make_task(Context& context, Config file, const std::filesystem::path& init) {
  const std::string type = model_type(file, init);
  if (is_text_model(type)) return std::make_unique<TextTask>(context, read<TextTrainConfig>(file), init);
  if (type == Wav2Vec2Config().model_type) {
    if (pretrains(file)) return std::make_unique<PretrainingTask>(context, read_wav2vec2<PretrainingConfig>(file, init), init);
    return std::make_unique<CtcTask>(context, read_wav2vec2<CtcTrainConfig>(file, init), init);
  }
  if (type == joined) return std::make_unique<SoundTask<SpeechTranslation>>(context, SoundTask<SpeechTranslation>::read(file, init), init);
  if (type == speech_to_text) return std::make_unique<SoundTask<S2TTransformer>>(context, SoundTask<S2TTransformer>::read(file, init), init);
  return std::make_unique<SpeechTask>(context, read<SpeechTrainConfig>(file), init);
}

void check_train_config(Context& context, Config file, const std::filesystem::path& init) {
  const std::string type = model_type(file, init);
  if (is_text_model(type))
    check<TextTrainConfig, TextTransformer>(context, file, init);
  else if (type == Wav2Vec2Config().model_type)
    pretrains(file) ? read_wav2vec2<PretrainingConfig>(file, init).check() : read_wav2vec2<CtcTrainConfig>(file, init).check();
  else if (type == joined)
    SoundTask<SpeechTranslation>::read(file, init).check();
  else if (type == speech_to_text)
    SoundTask<S2TTransformer>::read(file, init).check();
  else
    check<SpeechTrainConfig, S2TTransformer>(context, file, init);
}

}  // namespace alinea
