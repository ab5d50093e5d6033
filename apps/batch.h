// From plain host batches to the tensors of a training step. Ids and labels stay in host memory: ops check them there and take them along themselves.
#pragma once
#include <span>

#include "data/dataset.h"
#include "data/text_dataset.h"
#include "data/wave_dataset.h"
#include "models/s2t_transformer.h"
#include "models/speech_translation.h"
#include "models/text_transformer.h"

namespace alinea {

/// Targets become decoder inputs (start + tokens) and labels (tokens + end), short ones filled with pad and -100.
S2TBatch to_device(const HostBatch& host, Context& context, const S2TConfig& config);

/// Pairs of a text corpus, short ones filled with pad and -100.
TextBatch text_batch(const TextDataset& data, std::span<const int64_t> indices, const TransformerConfig& config);

/// Sounds and what is to be written for each: labels as a tokenizer framed them. Either model's.
void to_device(const HostWaves& host, const std::vector<std::vector<int32_t>>& labels, const Tokenizer& tokenizer, int64_t pad, Context& context, WaveBatch& batch);
void to_device(const HostWaves& host, const std::vector<std::vector<int32_t>>& labels, const Tokenizer& tokenizer, int64_t pad, Context& context, S2TBatch& batch);

struct SourceTokens {
  Tensor ids;                                               // i64 [B,S]
  std::vector<int32_t> lengths;
};
/// sentences: what the encoder reads, end and language included.
SourceTokens source_tokens(const std::vector<std::vector<int32_t>>& sentences, const TransformerConfig& config);

}  // namespace alinea
