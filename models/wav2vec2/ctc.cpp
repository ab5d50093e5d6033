#include "models/wav2vec2/ctc.h"

#include "autograd/ctc_loss.h"

namespace alinea {

CtcTargets::CtcTargets(const Tensor& padded, int64_t blank) {
  require(padded.rank() == 2, "ctc: labels are {}; [B, L] is needed", padded.shape());
  labels = padded.to(DType::i64).to(Context::cpu()).clone();
  const int64_t L = labels.size(1);
  for (int64_t b = 0; b < labels.size(0); ++b) {
    int64_t* row = labels.data<int64_t>() + b * L;
    lengths.push_back(int32_t(std::remove_if(row, row + L, [&](int64_t id) { return id == -100 || id == blank; }) - row));
  }
}

int64_t CtcTargets::too_long(const std::vector<int32_t>& frames) const {
  int64_t count = 0;
  for (size_t b = 0; b < lengths.size(); ++b) {
    const int64_t* row = labels.data<int64_t>() + int64_t(b) * labels.size(1);
    int64_t needed = lengths[b];
    for (int64_t i = 1; i < lengths[b]; ++i) needed += row[i] == row[i - 1];
    count += needed > frames[b];
  }
  return count;
}

Wav2Vec2ForCTC::Wav2Vec2ForCTC(Context& context, const Wav2Vec2Config& config, RandomKey key)
    : encoder_(context, config, key.child("wav2vec2")), head_(context, config.output_size(), config.vocab_size, key.child("lm_head")) {
  require(config.pad_token_id >= 0 && config.pad_token_id < config.vocab_size, "wav2vec2: pad_token_id {}, the blank of CTC, must be below vocab_size {}", config.pad_token_id,
          config.vocab_size);
}

Wav2Vec2ForCTC::Output Wav2Vec2ForCTC::forward(const Tensor& samples, const std::vector<int32_t>& lengths, const Tensor& labels, const Wav2Vec2::Options& options,
                                               const Pass& pass, const LossRule& rule) {
  const Wav2Vec2Config& c = config();
  Output out;
  out.encoder = encoder_.forward(samples, lengths, options, pass.child("wav2vec2"));
  out.logits = head_(drop(out.encoder.states, c.final_dropout, pass.child("head")), pass.tape);
  if (!labels) return out;
  const CtcTargets targets(labels, c.pad_token_id);
  require(int64_t(targets.lengths.size()) == samples.size(0), "ctc: labels are {} for {} items", labels.shape(), samples.size(0));
  out.too_long = targets.too_long(out.encoder.lengths);
  out.loss = ctc_loss(out.logits, targets.labels,
                      {.blank = c.pad_token_id,
                       .zero_infinity = rule.zero_infinity.value_or(c.ctc_zero_infinity),
                       .reduction = rule.reduction.value_or(c.ctc_loss_reduction == "mean" ? Reduction::mean : Reduction::sum),
                       .input_lengths = out.encoder.lengths,
                       .target_lengths = targets.lengths});
  return out;
}

void Wav2Vec2ForCTC::visit(const std::string& prefix, const Visitor& v) {
  encoder_.visit(path(prefix, "wav2vec2"), v);
  head_.visit(path(prefix, "lm_head"), v);
}

}  // namespace alinea
