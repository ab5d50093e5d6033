// wav2vec 2.0 on given inputs: the bare model, with the CTC head, and pre-training.
#include "apps/forward_parts.h"
#include "autograd/layout.h"
#include "models/hub/wav2vec2.h"

namespace alinea {

namespace {

Tensor of_ints(Context& context, const std::vector<int32_t>& v) {
  const std::vector<int64_t> wide(v.begin(), v.end());
  return context.from(wide.data(), {int64_t(wide.size())});
}

}  // namespace

Tensor ones_up_to(Context& context, const std::vector<int32_t>& lengths, int64_t columns) {
  std::vector<int32_t> mask;
  for (const int32_t n : lengths)
    for (int64_t t = 0; t < columns; ++t) mask.push_back(t < n);
  return context.from(mask.data(), {int64_t(lengths.size()), columns});
}

namespace {

void append_wav2vec2(const Wav2Vec2::Output& encoded, Context& context, bool hidden_states, NamedVariables& out) {
  out.emplace_back("last_hidden_state", encoded.states);
  out.emplace_back("extract_features", encoded.extract_features);
  out.emplace_back("feature_extractor", Variable(permute(Variable(encoded.conv_features.value()), {0, 2, 1}).value().compact()));
  out.emplace_back("frame_lengths", of_ints(context, encoded.frames));
  out.emplace_back("frame_mask", ones_up_to(context, encoded.frames, encoded.extract_features.size(1)));
  if (hidden_states)
    for (size_t i = 0; i < encoded.hidden_states.size(); ++i) out.emplace_back(fmt::format("hidden_states.{}", i), encoded.hidden_states[i]);
}

std::vector<int32_t> sample_lengths(const NamedInputs& in) { return in.lengths("attention_mask"); }
Tensor samples(const NamedInputs& in) { return in.need("input_values", "float [B, samples], 16 kHz, normalised as the model wants it"); }

class BareWav2Vec2 final : public ForwardModel {
 public:
  explicit BareWav2Vec2(std::unique_ptr<Wav2Vec2> model) : model_(std::move(model)) {}
  Module& module() override { return *model_; }
  std::vector<std::string_view> inputs() const override { return {"input_values", "attention_mask", "sample_lengths"}; }
  NamedVariables outputs(const NamedInputs& in, const ForwardOptions& o, Tape* tape) override {
    NamedVariables out;
    append_wav2vec2(model_->forward(samples(in), sample_lengths(in), {.hidden_states = o.hidden_states}, Pass{tape}), model_->context(), o.hidden_states, out);
    return out;
  }

 private:
  std::unique_ptr<Wav2Vec2> model_;
};

class CtcForward final : public ForwardModel {
 public:
  explicit CtcForward(std::unique_ptr<Wav2Vec2ForCTC> model) : model_(std::move(model)) {}
  Module& module() override { return *model_; }
  std::vector<std::string_view> inputs() const override { return {"input_values", "attention_mask", "sample_lengths", "labels"}; }
  NamedVariables outputs(const NamedInputs& in, const ForwardOptions& o, Tape* tape) override {
    const auto r = model_->forward(samples(in), sample_lengths(in), in.find("labels"), {.hidden_states = o.hidden_states}, Pass{tape},
                                   {.reduction = o.loss.reduction, .zero_infinity = o.loss.zero_infinity});
    Context& context = model_->encoder().context();
    NamedVariables out;
    out.emplace_back("logits", r.logits);
    if (r.loss) out.emplace_back("loss", r.loss);
    out.emplace_back("logit_lengths", of_ints(context, r.encoder.lengths));
    out.emplace_back("greedy_path", best_labels(r.logits.value()));
    append_wav2vec2(r.encoder, context, o.hidden_states, out);
    return out;
  }

 private:
  static Tensor best_labels(const Tensor& logits) {
    const auto v = logits.values<float>();
    const int64_t V = logits.size(2);
    std::vector<int64_t> best;
    for (auto row = v.begin(); row != v.end(); row += V) best.push_back(std::max_element(row, row + V) - row);
    return logits.context().from(best.data(), {logits.size(0), logits.size(1)});
  }
  std::unique_ptr<Wav2Vec2ForCTC> model_;
};

// i64 [B, T, G]: the most likely code of each group.
Tensor best_codes(const Tensor& logits, int64_t groups) {
  const auto v = logits.values<float>();
  const int64_t V = logits.size(2) / groups;
  std::vector<int64_t> best;
  for (auto codes = v.begin(); codes != v.end(); codes += V) best.push_back(std::max_element(codes, codes + V) - codes);
  return logits.context().from(best.data(), {logits.size(0), logits.size(1), groups});
}

// Negatives of masked frames that are quantized as their positive is: they do not count as negatives.
Tensor equal_negatives(const Tensor& quantized, const Tensor& negatives, const Tensor& mask) {
  const auto q = quantized.values<float>();
  const auto n = negatives.values<int64_t>();
  const auto masked = mask.values<int64_t>();
  const int64_t P = quantized.size(2), K = negatives.size(2);
  int64_t count = 0;
  for (int64_t frame = 0; frame < int64_t(masked.size()); ++frame)
    for (int64_t k = 0; masked[size_t(frame)] != 0 && k < K; ++k)
      count += std::equal(q.begin() + frame * P, q.begin() + (frame + 1) * P, q.begin() + n[size_t(frame * K + k)] * P);
  return quantized.context().from(&count, {});
}

class PreTrainingForward final : public ForwardModel {
 public:
  explicit PreTrainingForward(std::unique_ptr<Wav2Vec2ForPreTraining> model) : model_(std::move(model)) {}
  Module& module() override { return *model_; }
  std::vector<std::string_view> inputs() const override {
    return {"input_values", "attention_mask", "sample_lengths", "mask_time_indices", "sampled_negative_indices", "gumbel_noise"};
  }
  NamedVariables outputs(const NamedInputs& in, const ForwardOptions& o, Tape* tape) override {
    const Tensor mask = in.need("mask_time_indices", "i32 [B, T]"), negatives = in.need("sampled_negative_indices", "i64 [B, T, K]");
    Pass pass{tape};
    pass.training = o.training;
    const auto r = model_->forward(samples(in), sample_lengths(in),
                                   {.mask = mask, .negatives = negatives, .noise = o.training ? in.need("gumbel_noise", "float [B T G, V]") : Tensor()}, pass);
    NamedVariables out{{"loss", r.loss}, {"contrastive_loss", r.contrastive}, {"diversity_loss", r.diversity}, {"codevector_perplexity", r.perplexity},
                       {"projected_states", r.states}, {"projected_quantized_states", r.quantized}};
    out.emplace_back("codevector_index", best_codes(r.code_logits.value(), model_->config().num_codevector_groups));
    out.emplace_back("negatives_equal_to_positive", equal_negatives(r.quantized.value(), negatives, mask));
    return out;
  }

 private:
  std::unique_ptr<Wav2Vec2ForPreTraining> model_;
};

}  // namespace

std::unique_ptr<ForwardModel> open_wav2vec2_forward(const std::filesystem::path& directory, Context& context) {
  switch (wav2vec2_head_of(directory)) {
    case Wav2Vec2Head::none: return std::make_unique<BareWav2Vec2>(load_wav2vec2(directory, context));
    case Wav2Vec2Head::ctc: return std::make_unique<CtcForward>(load_wav2vec2_ctc(directory, context));
    case Wav2Vec2Head::pretraining: return std::make_unique<PreTrainingForward>(load_wav2vec2_pretraining(directory, context));
  }
  return nullptr;
}

}  // namespace alinea
