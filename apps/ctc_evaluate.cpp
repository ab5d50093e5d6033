#include "apps/ctc_evaluate.h"

#include <algorithm>

#include "autograd/ctc_loss.h"
#include "data/batches.h"
#include "data/scores/wer.h"

namespace alinea {

namespace {

// The best label of each real frame.
std::vector<int32_t> best_labels(const float* logits, int64_t frames, int64_t labels) {
  std::vector<int32_t> best;
  for (int64_t t = 0; t < frames; ++t) {
    const float* row = logits + t * labels;
    best.push_back(int32_t(std::max_element(row, row + labels) - row));
  }
  return best;
}

}  // namespace

Tensor ctc_labels(const CtcTokenizer& tokenizer, const std::vector<std::string>& texts) {
  std::vector<std::vector<int32_t>> all;
  size_t longest = 1;
  for (const std::string& text : texts) {
    all.push_back(tokenizer.encode(text, Side::target));
    longest = std::max(longest, all.back().size());
  }
  std::vector<int64_t> labels(texts.size() * longest, -100);
  for (size_t b = 0; b < all.size(); ++b) std::copy(all[b].begin(), all[b].end(), labels.begin() + int64_t(b * longest));
  return Context::cpu().from(labels.data(), {int64_t(texts.size()), int64_t(longest)});
}

FeatureExtractor extractor_of(const Wav2Vec2Config& config) { return {.return_attention_mask = config.feat_extract_norm == "layer"}; }

CtcScores evaluate_ctc(Wav2Vec2ForCTC& model, Context& context, const WaveDataset& data, const CtcTokenizer& tokenizer,
                       int64_t utterances) {
  const int64_t count = utterances > 0 ? std::min(utterances, data.size()) : data.size();
  CtcScores scores;
  for (const auto& indices : plan_in_order(count, data.features().return_attention_mask ? 8 : 1)) {
    const HostWaves batch = load_waves(data, indices);
    const auto out = model.forward(context.from(batch.values.data(), {batch.B, batch.N}), batch.visible(), {}, {}, {});
    const CtcTargets targets(ctc_labels(tokenizer, batch.texts), model.config().pad_token_id);
    const CtcLoss loss{.blank = model.config().pad_token_id,
                       .zero_infinity = true,
                       .input_lengths = out.encoder.lengths,
                       .target_lengths = targets.lengths};
    scores.loss += ctc_loss(out.logits, targets.labels, loss).value().item() * double(batch.B) / double(count);
    const auto logits = out.logits.value().values<float>();
    const int64_t frames = out.logits.value().size(1), labels = out.logits.value().size(2);
    for (int64_t b = 0; b < batch.B; ++b) {
      const auto best = best_labels(logits.data() + b * frames * labels, out.encoder.lengths[size_t(b)], labels);
      scores.hypotheses.push_back(tokenizer.transcript(collapse(best, tokenizer.blank())).text);
      scores.references.push_back(tokenizer.spelling(batch.texts[size_t(b)]));
    }
  }
  scores.wer = word_error_rate(scores.hypotheses, scores.references).rate();
  scores.cer = character_error_rate(scores.hypotheses, scores.references).rate();
  return scores;
}

}  // namespace alinea
