#include "apps/pretraining_task.h"

#include <set>

#include "apps/ctc_evaluate.h"
#include "autograd/elementwise.h"
#include "data/batches.h"
#include "models/hub/wav2vec2.h"

namespace alinea {

namespace {

/// How well masked frames are told apart and which codes are used, summed over masked frames.
struct Tally {
  double contrastive = 0, diversity = 0, perplexity = 0, correct = 0, frames = 0;
  std::vector<std::set<int64_t>> codes;  // chosen ones, by group

  void add(const Wav2Vec2ForPreTraining::Output& out, const Wav2Vec2Config& config);
  double codes_used(size_t group, const Wav2Vec2Config& config) const {
    return 100.0 * double(codes[group].size()) / double(config.num_codevectors_per_group);
  }
};

double cosine(const float* a, const float* b, int64_t n) {
  double ab = 0, aa = 0, bb = 0;
  for (int64_t i = 0; i < n; ++i) ab += double(a[i]) * b[i], aa += double(a[i]) * a[i], bb += double(b[i]) * b[i];
  return ab / std::max(std::sqrt(aa * bb), 1e-16);
}

// Whether the frame's own code is the most similar one. Negatives with the same code do not count, as in the loss.
bool is_told_apart(const float* state, const float* targets, int64_t frame, const int64_t* negatives, int64_t count, int64_t width) {
  const float* own = targets + frame * width;
  const double best = cosine(state, own, width);
  for (int64_t k = 0; k < count; ++k) {
    const float* other = targets + negatives[k] * width;
    if (!std::equal(own, own + width, other) && cosine(state, other, width) >= best) return false;
  }
  return true;
}

void Tally::add(const Wav2Vec2ForPreTraining::Output& out, const Wav2Vec2Config& config) {
  const double n = double(out.masked);
  contrastive += out.contrastive.value().item(), diversity += out.diversity.value().item();
  perplexity += n * out.perplexity.value().item(), frames += n;
  const auto states = out.states.value().values<float>(), targets = out.quantized.value().values<float>(),
             logits = out.code_logits.value().values<float>();
  const auto mask = out.mask.values<uint8_t>();
  const auto negatives = out.negatives.values<int64_t>();
  const int64_t P = config.proj_codevector_dim, K = config.num_negatives, G = config.num_codevector_groups,
                V = config.num_codevectors_per_group;
  codes.resize(size_t(G));
  for (int64_t f = 0; f < int64_t(mask.size()); ++f) {
    if (!mask[size_t(f)]) continue;
    correct += is_told_apart(states.data() + f * P, targets.data(), f, negatives.data() + f * K, K, P);
    for (int64_t g = 0; g < G; ++g) {
      const float* row = logits.data() + (f * G + g) * V;
      codes[size_t(g)].insert(std::max_element(row, row + V) - row);
    }
  }
}

}  // namespace

PretrainingTask::PretrainingTask(Context& context, const PretrainingConfig& config, const std::filesystem::path& init)
    : context_(context),
      config_((config.check(), config)),
      train_(WaveDataset::open(config.data, "train", config.waves.selection(true, false, config.seed, extractor_of(config.model)))),
      dev_(WaveDataset::open(config.data, "dev", config.waves.all(true, false, extractor_of(config.model)))),
      batches_(train_, config.waves.batch_seconds, RandomKey{uint64_t(config.seed)}.child("data")),
      names_{"contrastive", "diversity", "perplexity", "accuracy", "temperature", "masked_frames", "audio_seconds"} {
  model_ = std::make_unique<Wav2Vec2ForPreTraining>(context_, config_.model, RandomKey{uint64_t(config_.seed)}.child("model"));
  if (!init.empty()) start_from_wav2vec2(*model_, model_path(init));
  for (int64_t g = 1; g <= config_.model.num_codevector_groups; ++g) names_.push_back(fmt::format("codes_used_{}", g));
  term_names_.assign(names_.begin(), names_.end());
}

Config PretrainingTask::resolved() const {
  Config c;
  PretrainingConfig(config_).fields(c);
  return c;
}

BatchLoss PretrainingTask::next_loss(const Pass& pass) {
  const HostWaves batch = batches_.next();
  const double temperature = config_.temperature.at(pass.step);
  const auto out = model_->forward(context_.from(batch.values.data(), {batch.B, batch.N}), batch.visible(),
                                   {.temperature = temperature, .feature_penalty = config_.feature_penalty}, pass);
  require_data(
      out.masked > 0,
      "train: no frame of a batch is masked: its utterances of {:.2f} s are shorter than model.mask_time_length; raise waves.min_seconds",
      double(batch.N) / wave_rate);
  Tally p;
  p.add(out, config_.model);
  BatchLoss loss{scale(out.loss, 1.0 / p.frames), {}, out.masked};
  loss.terms = {
      p.contrastive / p.frames, p.diversity / p.frames, p.perplexity / p.frames, 100 * p.correct / p.frames, temperature, p.frames,
      batch.seconds};
  for (size_t g = 0; g < p.codes.size(); ++g) loss.terms.push_back(p.codes_used(g, config_.model));
  return loss;
}

// The same masks and negatives every time.
Validation PretrainingTask::validate(int64_t, std::span<const double>) {
  const int64_t count = config_.validation.utterances > 0 ? std::min(config_.validation.utterances, dev_.size()) : dev_.size();
  const RandomKey key = RandomKey{uint64_t(config_.seed)}.child("validation");
  Tally p;
  uint64_t number = 0;
  for (const auto& indices : plan_in_order(count, 8)) {
    const HostWaves batch = load_waves(dev_, indices);
    p.add(model_->forward(context_.from(batch.values.data(), {batch.B, batch.N}), batch.visible(), {},
                          Pass{.key = key.child(number++)}),
          config_.model);
  }
  const double contrastive = p.contrastive / p.frames, perplexity = p.perplexity / p.frames, accuracy = 100 * p.correct / p.frames;
  Validation v{.metrics = {{"contrastive", contrastive}, {"perplexity", perplexity}, {"accuracy", accuracy}},
               .quality = -contrastive,
               .message = fmt::format("dev contrastive {:.3f}  accuracy {:.1f} %  perplexity {:.1f} of {}", contrastive, accuracy,
                                      perplexity, config_.model.num_codevector_groups * config_.model.num_codevectors_per_group)};
  for (size_t g = 0; g < p.codes.size(); ++g) v.metrics.emplace_back(names_[7 + g], p.codes_used(g, config_.model));
  return v;
}

void PretrainingTask::save(const std::filesystem::path& folder) {
  save_wav2vec2(folder, *model_, config_.model, "Wav2Vec2ForPreTraining");
  extractor_of(config_.model).save(folder);
}

}  // namespace alinea
