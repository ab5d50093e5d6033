#include "apps/ctc_task.h"

#include "models/hub/wav2vec2.h"

namespace alinea {

namespace {

// Whether the directory's output layer writes the letters of `tokenizer`, under the same numbers.
bool same_vocabulary(const std::filesystem::path& directory, const CtcTokenizer& tokenizer) {
  if (!std::filesystem::exists(directory / "vocab.json")) return false;
  const CtcTokenizer other{TokenizerFiles(directory)};
  if (other.size() != tokenizer.size() || other.blank() != tokenizer.blank()) return false;
  for (int32_t id = 0; id < other.size(); ++id)
    if (other.piece(id) != tokenizer.piece(id)) return false;
  return true;
}

}  // namespace

CtcTask::CtcTask(Context& context, const CtcTrainConfig& config, const std::filesystem::path& init)
    : context_(context),
      config_(config),
      tokenizer_(TokenizerFiles(config.data)),
      train_(WaveDataset::open(config.data, "train", config.waves.selection(false, true, config.seed, extractor_of(config.model)))),
      dev_(WaveDataset::open(config.data, "dev", config.waves.all(false, true, extractor_of(config.model)))),
      batches_(train_, config.waves.batch_seconds, RandomKey{uint64_t(config.seed)}.child("data")) {
  config_.check();
  make_model(init);
}

// A head that was made for other letters is drawn anew.
void CtcTask::make_model(const std::filesystem::path& init) {
  config_.model.vocab_size = tokenizer_.size();
  config_.model.pad_token_id = tokenizer_.blank();
  model_ = std::make_unique<Wav2Vec2ForCTC>(context_, config_.model, RandomKey{uint64_t(config_.seed)}.child("model"));
  if (init.empty()) return;
  const std::filesystem::path directory = model_path(init);
  start_from_wav2vec2(*model_, directory,
                      same_vocabulary(directory, tokenizer_) ? std::vector<std::string>() : std::vector<std::string>{"lm_head"});
}

Config CtcTask::resolved() const {
  Config c;
  CtcTrainConfig(config_).fields(c);
  return c;
}

std::span<const std::string_view> CtcTask::terms() const {
  static constexpr std::string_view names[] = {"too_long", "audio_seconds"};
  return names;
}

BatchLoss CtcTask::next_loss(const Pass& pass) {
  const HostWaves batch = batches_.next();
  Wav2Vec2::Options options;
  if (pass.step < config_.mask_after && config_.model.has_mask_vector()) {
    options.mask_time = context_.zeros({batch.B, config_.model.frames(batch.N)}, DType::u8);
    options.mask_channels = context_.zeros({batch.B, config_.model.hidden_size}, DType::u8);
  }
  const Tensor labels = ctc_labels(tokenizer_, batch.texts);
  const auto out = model_->forward(context_.from(batch.values.data(), {batch.B, batch.N}), batch.visible(), labels, options, pass);
  BatchLoss loss{out.loss, {double(out.too_long), batch.seconds}};
  for (const int32_t n : CtcTargets(labels, config_.model.pad_token_id).lengths) loss.tokens += n;
  return loss;
}

Validation CtcTask::validate(int64_t, std::span<const double>) {
  const CtcValidation& v = config_.validation;
  const CtcScores dev = evaluate_ctc(*model_, context_, dev_, tokenizer_, v.utterances);
  Validation out{.metrics = {{"loss", dev.loss}, {"wer", dev.wer}, {"cer", dev.cer}},
                 .quality = -dev.wer,
                 .message = fmt::format("dev loss {:.3f}  WER {:.1f} %  CER {:.1f} %", dev.loss, dev.wer, dev.cer)};
  if (v.train_utterances == 0) return out;
  const CtcScores train = evaluate_ctc(*model_, context_, train_, tokenizer_, v.train_utterances);
  out.metrics.insert(out.metrics.end(), {{"train_wer", train.wer}, {"train_cer", train.cer}});
  out.quality = -train.wer;
  out.message += fmt::format("  train WER {:.1f} %  CER {:.1f} %", train.wer, train.cer);
  return out;
}

void CtcTask::save(const std::filesystem::path& folder) {
  save_wav2vec2(folder, *model_, config_.model, "Wav2Vec2ForCTC");
  extractor_of(config_.model).save(folder);
  tokenizer_.save(folder);
}

}  // namespace alinea
