#include "apps/trainer.h"

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/batch.h"
#include "apps/signals.h"
#include "engine/core/files.h"
#include "models/hub/model_directory.h"

namespace alinea {

std::filesystem::path model_path(const std::filesystem::path& path, bool best) {
  if (!RunDirectory::exists(path)) return path;
  const auto checkpoint = best ? RunDirectory::best(path) : RunDirectory::last(path);
  require_data(checkpoint.has_value(), "{}: this run has no complete checkpoint yet", path.string());
  return checkpoint->path;
}

Trainer::Trainer(Context& context, const TrainConfig& config, const std::filesystem::path& data, const std::filesystem::path& init)
    : context_(context),
      config_(config),
      data_path_(data),
      train_(SpeechDataset::open(data, "train", config.augment.augmentation())),
      dev_(SpeechDataset::open(data, "dev")),
      source_(train_.source_vocabulary()),
      target_(train_.target_vocabulary()) {
  config_.check();
  const RandomKey key{uint64_t(config_.seed)};
  if (!init.empty()) {
    model_ = load_model(model_path(init), context);
    require_data(model_->config().target_words == target_.size(), "{}: the model knows {} target words, the data's vocabulary has {}", init.string(),
                 model_->config().target_words, target_.size());
  } else {
    require(config_.stage == "offline", "train: stage {} fine-tunes an offline model; give one with --init-from RUN (from random weights EMMA collapses)", config_.stage);
    config_.model.source_words = source_.size();
    config_.model.target_words = target_.size();
    model_ = std::make_unique<S2TTransformer>(context, config_.model, key.child("model"));
  }
  if (config_.stage == "emma") {
    require(model_->config().streamable(), "train: EMMA needs an encoder that can be streamed (encoder_chunk above 0, stem relu_norm)");
    if (!model_->config().has_policy) model_->add_policies(config_.model.policy, key);
    model_->use_cross_attention("emma");
  } else {
    model_->use_cross_attention(config_.model.attention.decoder_cross);
  }
  model_->set_dropout(config_.model.dropout, config_.model.attention_dropout, config_.model.activation_dropout);
  config_.model = model_->config();
  std::vector<std::string> frozen = config_.freeze;
  freeze(*model_, frozen);
  parameters_ = std::make_unique<FlatParameters>(*model_);
  optimizer_ = std::make_unique<Optimizer>(*parameters_, config_.optimizer);
}

void Trainer::resume(const SavedCheckpoint& checkpoint) {
  load_parameters(*model_, SafetensorsFile(checkpoint.path / "model.safetensors").load_all(context_), (checkpoint.path / "model.safetensors").string());
  const SafetensorsFile state(checkpoint.path / "optimizer.safetensors");
  const Tensor m = state.load("moment1", context_), v = state.load("moment2", context_);
  require_data(m.shape() == optimizer_->moment1.shape(), "{}: the optimiser state holds {} values, the run trains {}; the configuration was changed", checkpoint.path.string(),
               m.count(), optimizer_->moment1.count());
  optimizer_->moment1.copy_from(m);
  optimizer_->moment2.copy_from(v);
  step_ = checkpoint.step;
  const auto trainer = nlohmann::json::parse(checkpoint.trainer_json());
  best_quality_ = trainer.value("best_quality", best_quality_);
  without_better_ = trainer.value("validations_without_better", without_better_);
}

S2TLoss Trainer::batch_loss(const S2TBatch& batch, const Pass& pass) {
  if (config_.stage == "emma") return model_->loss(batch, CrossAttention::monotonic, config_.loss, pass);
  if (config_.stage == "offline") return model_->loss(batch, CrossAttention::full, config_.loss, pass);
  Draw draw(pass.key.child("wait-k"));
  return model_->loss(batch, CrossAttention::waitk, config_.loss, pass, draw.integer(config_.waitk.min_k, config_.waitk.max_k), config_.waitk.ratio);
}

Trainer::StepResult Trainer::train_step() {
  StepResult r;
  const RandomKey key = RandomKey{uint64_t(config_.seed)}.child("dropout").child(uint64_t(step_));
  optimizer_->zero_grad();
  const double share = 1.0 / double(config_.accumulate);
  for (int64_t part = 0; part < config_.accumulate; ++part) {
    const S2TBatch batch = to_device(batches_->next(), context_, model_->config());
    Tape tape;
    const S2TLoss loss = batch_loss(batch, Pass{&tape, key.child(uint64_t(part)), true});
    r.loss += share * loss.total.value().item();
    r.cross_entropy += share * loss.cross_entropy;
    r.frame += share * loss.frame;
    r.latency += share * loss.latency;
    r.variance += share * loss.variance;
    for (const int32_t n : batch.target_lengths) r.tokens += n;
    tape.backward(loss.total, share);
  }
  ++step_;
  r.gradient_norm = optimizer_->gradient_norm();
  refuse_divergence(r);
  optimizer_->step(config_.optimizer.lr * config_.schedule.factor(step_, config_.steps), step_, r.gradient_norm);
  return r;
}

void Trainer::refuse_divergence(const StepResult& r) const {
  if (std::isfinite(r.loss) && std::isfinite(r.gradient_norm)) return;
  fail(Exit::diverged, "train: step {}: the loss is {} and the gradient norm {}; the last checkpoint is kept. Lower optimizer.lr (now {}) or raise schedule.warmup (now {})",
       step_, r.loss, r.gradient_norm, config_.optimizer.lr, config_.schedule.warmup);
}

EvaluationScores Trainer::validate(RunDirectory& directory) {
  EvaluationOptions options{.offline = config_.stage == "offline", .limit = config_.validation.sentences};
  options.stream.threshold = config_.validation.threshold;
  options.stream.max_tokens = config_.validation.max_tokens;
  if (config_.stage == "waitk") {
    options.stream.policy = StreamOptions::Policy::waitk;
    options.stream.wait_k = config_.validation.wait_k;
    options.stream.ratio = config_.waitk.ratio;
  }
  const EvaluationScores s = score(decode(*model_, context_, dev_, target_, options), dev_);
  const std::pair<std::string_view, double> values[] = {{"exact_match", s.exact_match}, {"bleu", s.bleu}, {"AL", s.al}, {"LAAL", s.laal}, {"unit_too_early", s.unit_too_early}, {"hour_guessed", s.hour_guessed}};
  directory.metrics(step_, values);
  return s;
}

void Trainer::check_collapse(const EvaluationScores& scores) const {
  if (config_.stage != "emma" || 2 * step_ < config_.steps) return;
  const double chunk = model_->seconds_per_decision();
  if (last_.latency < 0 && last_.variance < 0.05 * chunk * chunk)
    fail(Exit::diverged, "train: step {}: the policy has collapsed, everything is written at the first chunk (latency {:.2f} s, variance {:.4f} s²). Start from a trained offline model and lower "
         "loss.latency (now {}); the last checkpoint is kept", step_, last_.latency, last_.variance, config_.loss.latency);
  if (scores.al > 0.9 * scores.source_ms)
    fail(Exit::diverged, "train: step {}: the policy has collapsed, everything is read before the first word (streaming AL {:.0f} ms of {:.0f} ms). Raise loss.variance (now {}) or loss.latency (now {}); "
         "the last checkpoint is kept", step_, scores.al, scores.source_ms, config_.loss.variance, config_.loss.latency);
}

void Trainer::save(RunDirectory& directory, std::optional<double> score) {
  directory.save(step_,
                 [&](const std::filesystem::path& folder) {
                   save_model(folder, *model_);
                   write_safetensors(folder / "optimizer.safetensors", {{"moment1", optimizer_->moment1}, {"moment2", optimizer_->moment2}});
                   source_.save(folder / "vocab.src.txt");
                   target_.save(folder / "vocab.tgt.txt");
                 },
                 nlohmann::json{{"step", step_}, {"data", data_path_.string()}, {"best_quality", best_quality_}, {"validations_without_better", without_better_}}.dump(), score);
}

int Trainer::run(RunDirectory& directory, bool quiet) {
  using Clock = std::chrono::steady_clock;
  StopSignals stop;
  directory.keep(int(config_.keep_last), int(config_.keep_best));
  directory.start_after(step_);
  const S2TConfig& m = model_->config();
  batches_ = std::make_unique<BatchStream>(train_, config_.batch, RandomKey{uint64_t(config_.seed)}.child("data"), step_ * config_.accumulate,
                                           CollateOptions{.padding = float(m.feature_padding), .multiple = 2 * m.frames_per_state() * std::max<int64_t>(1, m.encoder_chunk), .frames_per_state = m.frames_per_state()});
  Progress progress(Terminal::standard_error(), config_.stage, step_, config_.steps, quiet);
  auto window = Clock::now();
  int64_t window_tokens = 0;
  while (!finished()) {
    last_ = train_step();
    window_tokens += last_.tokens;
    progress.update(step_, last_.loss, last_.gradient_norm, last_.tokens);
    if (step_ % config_.log_every == 0 || step_ == config_.steps) {
      const std::pair<std::string_view, double> values[] = {{"loss", last_.loss}, {"cross_entropy", last_.cross_entropy}, {"frame", last_.frame}, {"latency_seconds", last_.latency},
                                                            {"variance_seconds2", last_.variance}, {"gradient_norm", last_.gradient_norm}, {"lr", config_.optimizer.lr * config_.schedule.factor(step_, config_.steps)}};
      directory.log(step_, values);
      const double seconds = std::chrono::duration<double>(Clock::now() - window).count();
      const std::pair<std::string_view, double> speed[] = {{"tokens_per_second", double(window_tokens) / seconds}, {"peak_bytes", double(context_.memory().peak)}};
      directory.speed(step_, speed);
      window = Clock::now(), window_tokens = 0;
    }
    const bool end = step_ == config_.steps;
    const bool validation = end || (config_.validation.every > 0 && step_ % config_.validation.every == 0);
    std::optional<double> quality;
    if (validation) {
      const EvaluationScores s = validate(directory);
      quality = s.exact_match - (config_.stage == "offline" ? 0 : s.al / 1000);   // streaming: a second of lag weighs a percent
      progress.message(fmt::format("step {}: dev exact {:.1f} %  BLEU {:.1f}  AL {:.0f} ms", step_, s.exact_match, s.bleu, s.al));
      without_better_ = *quality > best_quality_ ? 0 : without_better_ + 1;
      best_quality_ = std::max(best_quality_, *quality);
      check_collapse(s);
      window = Clock::now(), window_tokens = 0;
    }
    const bool stopped = stop.received();
    if (validation || stopped || step_ % config_.save_every == 0) save(directory, quality);
    if (stopped && !finished()) {
      progress.message(fmt::format("{}: saved at step {}; the same command resumes", stop.name(), step_), true);
      return stop.exit_code();
    }
  }
  return 0;
}

}  // namespace alinea
