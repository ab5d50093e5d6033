// Speech-to-text transformer: speech encoder, text decoder, a frame classifier that helps the encoder to start, and the losses.
// With policies it is an EMMA model (Ma et al. 2023): fine-tuned from the offline model, its cross attention follows the alignment.
#pragma once
#include "models/speech_encoder.h"
#include "models/target_length.h"
#include "models/text_decoder.h"

namespace alinea {

/// One training batch. Labels hold -100 where nothing is to be learnt.
struct S2TBatch {
  Tensor features;                                          // [B,F,bins]
  std::vector<int32_t> frames;                              // real frames per item
  Tensor decoder_in, labels;                                // i64 [B,T]: start + tokens; tokens + end
  std::vector<int32_t> target_lengths;                      // tokens + end
  Tensor frame_labels;                                      // i64 [B,S] or none: the word that a state has just heard, 0 between words
};

/// Weights of the loss terms.
///   L = CE(smoothing) + frame · CE_frames + latency · AL + variance · Var
/// AL: differentiable average lagging of Ma et al. 2020, in seconds, pooled over heads and layers (mean by default), mean over items.
/// Var: Σ_j (j - d_i)² α_ij in seconds², mean over rows, items, heads and layers (Ma et al. 2023, section 3.2).
struct LossConfig {
  double smoothing = 0.1, frame = 1, latency = 0, variance = 0;
  std::string latency_metric = "AL", latency_pooling = "mean";
  void fields(Config& c) {
    c.field("smoothing", smoothing, "label smoothing");
    c.field("frame", frame, "weight of the frame classifier's cross entropy (needs word times)");
    c.field("latency", latency, "weight of the latency, per second");
    c.field("variance", variance, "weight of the alignment's variance, per second²");
    c.field("latency_metric", latency_metric, "AL or DAL");
    c.field("latency_pooling", latency_pooling, "over heads and layers: mean, max, softmax (weights with gradient) or softmax_stopgrad");
  }
};

struct S2TLoss {
  Variable total;
  Tensor cross_entropy, frame, latency, variance;           // one number each, or none; reading them waits for the device
};

enum class CrossAttention { full, monotonic, waitk };

class S2TTransformer final : public Module {
 public:
  S2TTransformer(Context& context, const S2TConfig& config, RandomKey key);

  /// waitk: token i sees (i + k) · ratio states, ratio in states per token.
  S2TLoss loss(const S2TBatch& batch, CrossAttention cross, const LossConfig& weights, const Pass& pass, int64_t wait_k = 1, int64_t ratio = 1);

  struct Output {
    Variable states, logits;                                // [B,S,C], [B,T,V]
    std::vector<int32_t> lengths;                           // real states per item
    std::vector<Variable> encoder_hidden, decoder_hidden;   // when asked for: what enters each layer, and what leaves the stack
  };
  /// Teacher forced, every token sees the whole utterance. Of the batch: features, frames, decoder_in and target_lengths.
  Output forward(const S2TBatch& batch, const Pass& pass, bool hidden_states = false);

  /// Greedy decoding of whole utterances: token ids without start and end, at most `limit` each.
  Generation translate(const Tensor& features, const std::vector<int32_t>& frames, const GenerationConfig& config);

  /// Alignments alpha [1, 1 or H, T, J] of each layer for given target tokens (teacher forcing), for plots.
  std::vector<Tensor> alignments(const Tensor& features, const std::vector<int32_t>& frames, const std::vector<int32_t>& tokens);

  void add_policies(const PolicyConfig& policy, RandomKey key);
  /// Replaces the family of the decoder's cross attention, keeping its projections.
  void use_cross_attention(const AttentionChoice& choice);
  void set_dropout(double blocks, double attention, double activation);
  double seconds_per_decision() const { return 0.01 * double(config_.frames_per_state() * config_.policy.pooling); }
  const S2TConfig& config() const { return config_; }
  TargetLength& target_length() { return target_length_; }
  bool needs_target_length() const { return decoder_.needs_target_length(); }
  SpeechEncoder& encoder() { return encoder_; }
  TextDecoder& decoder() { return decoder_; }
  void visit(const std::string& prefix, const Visitor& v) override;

 private:
  Variable encoder_loss(const S2TBatch& batch, const Variable& states, Tape* tape);
  void regularise(S2TLoss& loss, const std::vector<Variable>& alignments, const S2TBatch& batch, const std::vector<int32_t>& states,
                  const LossConfig& weights) const;
  S2TConfig config_;
  SpeechEncoder encoder_;
  TextDecoder decoder_;
  LinearLayer frame_classifier_;
  TargetLength target_length_;                              // of decoders that need it
};

}  // namespace alinea
