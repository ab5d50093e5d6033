#include "apps/task.h"

#include "apps/run_directory.h"
#include "apps/speech_task.h"
#include "apps/text_task.h"
#include "models/hub/model_directory.h"

namespace alinea {

std::filesystem::path model_path(const std::filesystem::path& path, bool best) {
  if (!RunDirectory::exists(path)) return path;
  const auto checkpoint = best ? RunDirectory::best(path) : RunDirectory::last(path);
  require_data(checkpoint.has_value(), "{}: this run has no complete checkpoint yet", path.string());
  return checkpoint->path;
}

namespace {

bool is_text(const std::string& type) { return type == TextConfig().model_type || type == "mbart"; }

std::string model_type(Config file, const std::filesystem::path& init) {
  std::string type = S2TConfig().model_type;
  if (file.has("model") && file.at("model").has("model_type"))
    file.at("model").field("model_type", type, "names the architecture");
  else if (!init.empty())
    type = model_type_of(model_path(init));
  require(type == S2TConfig().model_type || is_text(type), "train: model.model_type '{}' is not {} (speech), {} or mbart (text)", type, S2TConfig().model_type,
          TextConfig().model_type);
  return type;
}

template <class C>
C read(Config file) {
  C config;
  config.fields(file);
  file.refuse_unread();
  require(!config.data.empty(), "train: no data; give --data DIR (alinea data prepare makes one)");
  return config;
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
  if (is_text(model_type(file, init))) return std::make_unique<TextTask>(context, read<TextTrainConfig>(file), init);
  return std::make_unique<SpeechTask>(context, read<SpeechTrainConfig>(file), init);
}

void check_train_config(Context& context, Config file, const std::filesystem::path& init) {
  if (is_text(model_type(file, init)))
    check<TextTrainConfig, TextTransformer>(context, file, init);
  else
    check<SpeechTrainConfig, S2TTransformer>(context, file, init);
}

}  // namespace alinea
