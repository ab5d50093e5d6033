// Encoder-decoders on given inputs: mBART (text), Speech2Text (features), wav2vec2 with mBART's decoder (waves).
#include "apps/forward_parts.h"
#include "autograd/cross_entropy.h"
#include "autograd/layout.h"
#include "models/hub/model_directory.h"
#include "models/shift.h"
#include "models/speech_translation.h"

namespace alinea {

namespace {

// labels and decoder_input_ids: the second from the first where it is not given.
struct Targets {
  Tensor decoder_in, labels;
};

template <class Shift>
Targets targets_of(const NamedInputs& in, Shift&& shift) {
  Targets t{in.find("decoder_input_ids"), in.find("labels")};
  if (!t.decoder_in && t.labels) t.decoder_in = shift(t.labels);
  require_data(bool(t.decoder_in), "forward: the inputs lack 'labels' or 'decoder_input_ids' (i64 [B, T])");
  require_data(!t.labels || t.labels.shape() == t.decoder_in.shape(), "forward: labels are {}, decoder_input_ids {}; they must be alike",
               t.labels ? t.labels.shape() : Shape(), t.decoder_in.shape());
  return t;
}

void append_loss(const Variable& logits, const Tensor& labels, const LossOverride& o, NamedVariables& out) {
  const int64_t rows = labels.count();
  const CrossEntropy rule{.smoothing = o.smoothing, .convention = o.convention, .reduction = o.reduction.value_or(Reduction::mean)};
  out.emplace_back("loss", cross_entropy(reshape(logits, {rows, logits.size(2)}), labels.reshape({rows}), rule));
}

void append_states(const char* name, const std::vector<Variable>& states, NamedVariables& out) {
  for (size_t i = 0; i < states.size(); ++i) out.emplace_back(fmt::format("{}_hidden_states.{}", name, i), states[i]);
}

NamedTensors sequences_of(const Generation& g, Context& context) {
  const int64_t rows = int64_t(g.sequences.size()), longest = rows ? int64_t(g.sequences[0].size()) : 0;
  std::vector<int64_t> ids;
  for (const auto& row : g.sequences) ids.insert(ids.end(), row.begin(), row.end());
  NamedTensors out;
  out.emplace_back("sequences", context.from(ids.data(), {rows, longest}));
  const std::vector<float> scores(g.scores.begin(), g.scores.end());
  if (!scores.empty()) out.emplace_back("scores", context.from(scores.data(), {rows}));
  return out;
}

// The directory's generation_config.json (the model's defaults without one) with changes.
GenerationConfig settings_of(const std::filesystem::path& directory, const std::vector<std::pair<std::string, std::string>>& changes) {
  GenerationConfig config = load_generation_config(directory);
  for (const auto& [name, value] : changes) config.assign(name + "=" + value);
  config.check();
  return config;
}

std::vector<int32_t> all_of(const Tensor& rows) { return std::vector<int32_t>(size_t(rows.size(0)), int32_t(rows.size(1))); }

class TextForward final : public ForwardModel {
 public:
  TextForward(std::unique_ptr<TextTransformer> model, std::filesystem::path directory, Context& context)
      : model_(std::move(model)), directory_(std::move(directory)), context_(context) {}
  Module& module() override { return *model_; }
  std::vector<std::string_view> inputs() const override { return {"input_ids", "attention_mask", "labels", "decoder_input_ids"}; }

  NamedVariables outputs(const NamedInputs& in, const ForwardOptions& o, Tape* tape) override {
    const int64_t pad = model_->config().pad_token;
    const Targets targets = targets_of(in, [&](const Tensor& labels) { return rotate_right(labels, pad); });
    TextBatch batch{.source = source(in), .source_lengths = lengths(in), .decoder_in = targets.decoder_in, .labels = targets.labels};
    batch.target_lengths = all_of(targets.decoder_in);
    const auto r = model_->forward(batch, Pass{tape}, o.hidden_states);
    NamedVariables out{{"logits", r.logits}, {"encoder_last_hidden_state", r.states}, {"decoder_input_ids", targets.decoder_in}};
    if (targets.labels) append_loss(r.logits, targets.labels, o.loss, out);
    append_states("encoder", r.encoder_hidden, out);
    append_states("decoder", r.decoder_hidden, out);
    return out;
  }

  NamedTensors generate(const NamedInputs& in, const std::vector<std::pair<std::string, std::string>>& changes) override {
    return sequences_of(model_->translate(source(in), lengths(in), settings_of(directory_, changes)), context_);
  }

 private:
  static Tensor source(const NamedInputs& in) { return in.need("input_ids", "i64 [B, S]"); }
  static std::vector<int32_t> lengths(const NamedInputs& in) { return in.has("attention_mask") ? in.lengths("attention_mask") : all_of(source(in)); }
  std::unique_ptr<TextTransformer> model_;
  std::filesystem::path directory_;
  Context& context_;
};

class FeatureForward final : public ForwardModel {
 public:
  FeatureForward(std::unique_ptr<S2TTransformer> model, std::filesystem::path directory, Context& context)
      : model_(std::move(model)), directory_(std::move(directory)), context_(context) {}
  Module& module() override { return *model_; }
  std::vector<std::string_view> inputs() const override { return {"input_features", "attention_mask", "labels", "decoder_input_ids"}; }

  NamedVariables outputs(const NamedInputs& in, const ForwardOptions& o, Tape* tape) override {
    const S2TConfig& c = model_->config();
    const Targets targets = targets_of(in, [&](const Tensor& labels) { return shift_right(labels, c.bos_token, c.pad_token); });
    S2TBatch batch{.features = features(in), .frames = frames(in), .decoder_in = targets.decoder_in, .labels = targets.labels};
    batch.target_lengths = all_of(targets.decoder_in);
    const auto r = model_->forward(batch, Pass{tape}, o.hidden_states);
    NamedVariables out{{"logits", r.logits}, {"encoder_last_hidden_state", r.states}, {"decoder_input_ids", targets.decoder_in}};
    const std::vector<int64_t> lengths(r.lengths.begin(), r.lengths.end());
    out.emplace_back("subsampled_lengths", context_.from(lengths.data(), {int64_t(lengths.size())}));
    if (targets.labels) append_loss(r.logits, targets.labels, o.loss, out);
    if (o.hidden_states) {
      out.emplace_back("subsampled", model_->encoder().run_stem(batch.features, nullptr));
      out.emplace_back("sinusoid", sinusoid_rows(c));
    }
    append_states("encoder", r.encoder_hidden, out);
    append_states("decoder", r.decoder_hidden, out);
    return out;
  }

  NamedTensors generate(const NamedInputs& in, const std::vector<std::pair<std::string, std::string>>& changes) override {
    return sequences_of(model_->translate(features(in), frames(in), settings_of(directory_, changes)), context_);
  }

 private:
  // The first 40 rows of fairseq's table; padding's has no position.
  Tensor sinusoid_rows(const S2TConfig& c) const {
    const Tensor rows = sinusoid(context_, 0, 40, c.d_model, PositionLayout::halves);
    rows.slice(0, c.pad_token, c.pad_token + 1).zero();
    return rows;
  }
  static Tensor features(const NamedInputs& in) { return in.need("input_features", "float [B, frames, bins]"); }
  static std::vector<int32_t> frames(const NamedInputs& in) { return in.has("attention_mask") ? in.lengths("attention_mask") : all_of(features(in)); }
  std::unique_ptr<S2TTransformer> model_;
  std::filesystem::path directory_;
  Context& context_;
};

class WaveForward final : public ForwardModel {
 public:
  WaveForward(std::unique_ptr<SpeechTranslation> model, std::filesystem::path directory) : model_(std::move(model)), directory_(std::move(directory)) {}
  Module& module() override { return *model_; }
  std::vector<std::string_view> inputs() const override { return {"input_values", "attention_mask", "sample_lengths", "labels", "decoder_input_ids"}; }

  NamedVariables outputs(const NamedInputs& in, const ForwardOptions& o, Tape* tape) override {
    const auto& c = model_->config();
    const Targets targets = targets_of(in, [&](const Tensor& labels) { return shift_right(labels, c.decoder_start_token_id, c.pad_token_id); });
    const auto encoded = model_->encode(samples(in), in.lengths("attention_mask"), Pass{tape});
    const Variable logits = model_->decode(targets.decoder_in, encoded, Pass{tape});
    NamedVariables out{{"logits", logits}, {"encoder_output", encoded.output}, {"encoder_last_hidden_state", encoded.states}, {"decoder_input_ids", targets.decoder_in}};
    out.emplace_back("cross_attention_mask", ones_up_to(model_->context(), encoded.lengths, encoded.states.size(1)));
    if (targets.labels) append_loss(logits, targets.labels, o.loss, out);
    return out;
  }

  NamedTensors generate(const NamedInputs& in, const std::vector<std::pair<std::string, std::string>>& changes) override {
    return sequences_of(model_->translate(samples(in), in.lengths("attention_mask"), settings_of(directory_, changes)), model_->context());
  }

 private:
  static Tensor samples(const NamedInputs& in) { return in.need("input_values", "float [B, samples], 16 kHz, normalised as the model wants it"); }
  std::unique_ptr<SpeechTranslation> model_;
  std::filesystem::path directory_;
};

}  // namespace

std::unique_ptr<ForwardModel> open_text_forward(const std::filesystem::path& directory, Context& context) {
  return std::make_unique<TextForward>(load_text_model(directory, context), directory, context);
}

std::unique_ptr<ForwardModel> open_feature_forward(const std::filesystem::path& directory, Context& context) {
  return std::make_unique<FeatureForward>(load_model(directory, context), directory, context);
}

std::unique_ptr<ForwardModel> open_wave_forward(const std::filesystem::path& directory, Context& context) {
  return std::make_unique<WaveForward>(load_speech_translation(directory, context), directory);
}

}  // namespace alinea
