#include "models/wav2vec2/pretraining.h"

#include "autograd/codebook.h"
#include "autograd/contrastive_loss.h"
#include "autograd/reduce.h"
#include "models/wav2vec2/sampling.h"

namespace alinea {

Wav2Vec2ForPreTraining::Wav2Vec2ForPreTraining(Context& context, const Wav2Vec2Config& c, RandomKey key)
    : encoder_(context, c, key.child("wav2vec2")),
      project_states_(context, c.output_size(), c.proj_codevector_dim, key.child("states")),
      project_codes_(context, c.codevector_dim, c.proj_codevector_dim, key.child("codes")),
      code_logits_(context, c.conv_dim.back(), c.num_codevector_groups * c.num_codevectors_per_group, key.child("logits")) {
  const int64_t entries = c.num_codevector_groups * c.num_codevectors_per_group;
  require(c.has_mask_vector(), "wav2vec2: pre-training needs masks; set mask_time_prob, 0.65 in the paper");
  require(!c.add_adapter, "wav2vec2: pre-training compares states frame by frame; add_adapter must be false");
  // Logits of deviation √C at the start, as in fairseq: small ones would choose codes by the noise alone.
  code_logits_.weight = normal_parameter(context, {entries, c.conv_dim.back()}, 1, key.child("code logits"));
  codevectors_ = uniform_parameter(context, {1, entries, c.codevector_dim / c.num_codevector_groups}, 1, key.child("codevectors"));
}

Variable Wav2Vec2ForPreTraining::quantize(const Variable& logits, const Options& options, const Pass& pass) {
  Codebook op{.groups = config().num_codevector_groups, .temperature = options.temperature};
  Tensor noise;
  if (pass.training) {
    op.choice = Codebook::Choice::gumbel;
    noise = options.noise ? options.noise.reshape(logits.shape()) : gumbel_noise(encoder_.context(), logits.shape(), pass.key.child("noise"));
  }
  return codebook(logits, on(pass.tape, codevectors_), noise, op);
}

Wav2Vec2ForPreTraining::Output Wav2Vec2ForPreTraining::forward(const Tensor& samples, const std::vector<int32_t>& lengths, const Options& options, const Pass& pass) {
  const Wav2Vec2Config& c = config();
  require(samples.rank() == 2, "wav2vec2: samples are {}; [B, N] is needed", samples.shape());
  const int64_t B = samples.size(0), T = c.frames(samples.size(1));
  const Tensor mask = options.mask ? options.mask.to(DType::u8).to(Context::cpu())
                                   : SpanMask{c.mask_time_prob, c.mask_time_length, c.mask_time_min_masks}.draw(
                                         B, T, lengths.empty() ? lengths : encoder_.frame_lengths(lengths), pass.key.child("mask"));
  const Tensor negatives = options.negatives ? options.negatives : sample_negatives(mask, c.num_negatives, pass.key.child("negatives"));
  Output out{.mask = mask, .negatives = negatives};
  for (const uint8_t masked : mask.values<uint8_t>()) out.masked += masked;
  out.encoder = encoder_.forward(samples, lengths, {.mask_time = mask}, pass.child("wav2vec2"));
  out.states = project_states_(out.encoder.states, pass.tape);
  const Variable features = drop(out.encoder.extract_features, c.feat_quantizer_dropout, pass.child("quantizer"));
  const Variable logits = out.code_logits = code_logits_(features, pass.tape);
  out.quantized = project_codes_(quantize(logits, options, pass), pass.tape);
  out.contrastive = contrastive_loss(out.states, out.quantized, negatives, mask, c.contrastive_logits_temperature);
  out.perplexity = code_perplexity(logits, mask, {.groups = c.num_codevector_groups, .hard = !pass.training});
  const double n = double(out.masked), entries = double(c.num_codevector_groups * c.num_codevectors_per_group);
  out.diversity = add_scalar(scale(out.perplexity, -n / entries), n);
  out.loss = add(out.contrastive, scale(out.diversity, c.diversity_loss_weight));
  const Variable& conv = out.encoder.conv_features;
  if (options.feature_penalty > 0) out.loss = add(out.loss, scale(mean(mul(conv, conv)), options.feature_penalty * n));
  return out;
}

void Wav2Vec2ForPreTraining::visit(const std::string& prefix, const Visitor& v) {
  encoder_.visit(path(prefix, "wav2vec2"), v);
  project_states_.visit(path(prefix, "project_hid"), v);
  project_codes_.visit(path(prefix, "project_q"), v);
  code_logits_.visit(path(prefix, "quantizer.weight_proj"), v);
  v(path(prefix, "quantizer.codevectors"), codevectors_);
}

}  // namespace alinea
