#include "apps/speech_task.h"

#include "apps/batch.h"
#include "data/scores/words.h"
#include "models/hub/model_directory.h"

namespace alinea {

SpeechTask::SpeechTask(Context& context, const SpeechTrainConfig& config, const std::filesystem::path& init)
    : context_(context),
      config_(config),
      train_(SpeechDataset::open(config.data, "train", config.augment.augmentation())),
      dev_(SpeechDataset::open(config.data, "dev")),
      source_(train_.source_vocabulary()),
      target_(train_.target_vocabulary()) {
  config_.check();
  make_model(init);
}

void SpeechTask::make_model(const std::filesystem::path& init) {
  const RandomKey key{uint64_t(config_.seed)};
  if (!init.empty()) {
    model_ = load_model(model_path(init), context_);
    require_data(model_->config().target_words == target_.size(), "{}: the model knows {} target words, the data's vocabulary has {}",
                 init.string(), model_->config().target_words, target_.size());
  } else {
    require(config_.stage == "offline",
            "train: stage {} fine-tunes an offline model; give one with --init-from RUN (from random weights EMMA collapses)",
            config_.stage);
    config_.model.source_words = source_.size();
    config_.model.target_words = target_.size();
    model_ = std::make_unique<S2TTransformer>(context_, config_.model, key.child("model"));
    if (model_->needs_target_length()) {
      std::vector<LengthExample> examples;
      for (int64_t i = 0; i < train_.size(); ++i) {
        const ManifestRow& row = train_.row(i);
        examples.push_back({{}, (row.n_frames + config_.model.frames_per_state() - 1) / config_.model.frames_per_state(), int64_t(split_words(row.tgt_text).size()) + 1});
      }
      model_->target_length().fit(examples);
    }
  }
  if (config_.stage == "emma") {
    require(model_->config().streamable(), "train: EMMA needs an encoder that can be streamed (encoder_chunk above 0, stem relu_norm)");
    if (!model_->config().has_policy) model_->add_policies(config_.model.policy, key);
    const bool monotonic = attention_family(config_.model.attention.decoder_cross.layer(0).name).needs_policy;
    model_->use_cross_attention(monotonic ? config_.model.attention.decoder_cross : AttentionChoice("monotonic"));
  } else {
    model_->use_cross_attention(config_.model.attention.decoder_cross);
  }
  model_->set_dropout(config_.model.dropout, config_.model.attention_dropout, config_.model.activation_dropout);
  config_.model = model_->config();
}

Config SpeechTask::resolved() const {
  Config c;
  SpeechTrainConfig(config_).fields(c);
  return c;
}

std::span<const std::string_view> SpeechTask::terms() const {
  static constexpr std::string_view names[] = {"cross_entropy", "frame", "latency_seconds", "variance_seconds2"};
  return names;
}

void SpeechTask::start(BatchNumbers numbers) {
  const S2TConfig& m = model_->config();
  const RandomKey key = RandomKey{uint64_t(config_.seed)}.child("data");
  const CollateOptions options{.padding = float(m.feature_padding),
                               .multiple = 2 * m.frames_per_state() * std::max<int64_t>(1, m.encoder_chunk),
                               .frames_per_state = m.frames_per_state()};
  batches_.reset();
  order_ = std::make_unique<BatchOrder>(train_.lengths(), BatchSize{.sentences = config_.batch}, key);
  batches_ = std::make_unique<Prefetcher<HostBatch>>(std::numeric_limits<int64_t>::max(), [this, numbers, key, options](int64_t i) {
    const int64_t number = numbers[i];
    return load_batch(train_, order_->batch(number), key.child("augment").child(uint64_t(number)), options);
  });
}

BatchLoss SpeechTask::next_loss(const Pass& pass) {
  const S2TBatch batch = to_device(*batches_->next(), context_, model_->config());
  const S2TLoss loss = batch_loss(batch, pass);
  BatchLoss out{loss.total, {loss.cross_entropy, loss.frame, loss.latency, loss.variance}};
  for (const int32_t n : batch.target_lengths) out.tokens += n;
  return out;
}

S2TLoss SpeechTask::batch_loss(const S2TBatch& batch, const Pass& pass) {
  if (config_.stage == "emma") return model_->loss(batch, CrossAttention::monotonic, config_.loss, pass);
  if (config_.stage == "offline") return model_->loss(batch, CrossAttention::full, config_.loss, pass);
  Draw draw(pass.key.child("wait-k"));
  return model_->loss(batch, CrossAttention::waitk, config_.loss, pass, draw.integer(config_.waitk.min_k, config_.waitk.max_k),
                      config_.waitk.ratio);
}

Validation SpeechTask::validate(int64_t step, std::span<const double> terms) {
  EvaluationOptions options{.offline = config_.stage == "offline", .limit = config_.validation.sentences};
  options.stream.threshold = config_.validation.threshold;
  options.stream.max_tokens = config_.validation.max_tokens;
  if (config_.stage == "waitk") {
    options.stream.policy = StreamOptions::Policy::waitk;
    options.stream.wait_k = config_.validation.wait_k;
    options.stream.ratio = config_.waitk.ratio;
  }
  const EvaluationScores s = score(decode(*model_, context_, dev_, target_, options), dev_);
  Validation v;
  v.metrics = {{"exact_match", s.exact_match},  {"bleu", s.bleu}, {"AL", s.al}, {"LAAL", s.laal}, {"unit_too_early", s.unit_too_early},
               {"hour_guessed", s.hour_guessed}};
  v.quality = s.exact_match - (config_.stage == "offline" ? 0 : s.al / 1000);  // streaming: a second of lag weighs a percent
  v.message = fmt::format("dev exact {:.1f} %  BLEU {:.1f}  AL {:.0f} ms", s.exact_match, s.bleu, s.al);
  v.collapse = collapse(step, terms, s);
  return v;
}

std::string SpeechTask::collapse(int64_t step, std::span<const double> terms, const EvaluationScores& scores) const {
  if (config_.stage != "emma" || 2 * step < config_.steps) return {};
  const double chunk = model_->seconds_per_decision(), latency = terms[2], variance = terms[3];
  if (latency < 0 && variance < 0.05 * chunk * chunk)
    return fmt::format(
        "the policy has collapsed, everything is written at the first chunk (latency {:.2f} s, variance {:.4f} s²). Start from a trained "
        "offline model and lower "
        "loss.latency (now {}); the last checkpoint is kept",
        latency, variance, config_.loss.latency);
  if (scores.al > 0.9 * scores.source_ms)
    return fmt::format(
        "the policy has collapsed, everything is read before the first word (streaming AL {:.0f} ms of {:.0f} ms). Raise loss.variance "
        "(now {}) or loss.latency (now {}); "
        "the last checkpoint is kept",
        scores.al, scores.source_ms, config_.loss.variance, config_.loss.latency);
  return {};
}

void SpeechTask::save(const std::filesystem::path& folder) {
  save_model(folder, *model_);
  source_.save(folder / "vocab.src.txt");
  target_.save(folder / "vocab.tgt.txt");
}

}  // namespace alinea
