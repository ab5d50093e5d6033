// Recognising speech with a CTC model, and scoring it.
#pragma once
#include <string>
#include <vector>

#include "data/features/extractor.h"
#include "data/tokenizers/ctc.h"
#include "data/wave_dataset.h"
#include "models/wav2vec2/ctc.h"

namespace alinea {

/// i64 [B, longest] in host memory, where the loss wants them; filled with -100.
Tensor ctc_labels(const CtcTokenizer& tokenizer, const std::vector<std::string>& texts);

/// What turns sound into such a model's input: normalised samples, with a mask of the padding, but for models whose first convolution is
/// normalised over the whole row (feat_extract_norm "group"): they were trained without one.
FeatureExtractor extractor_of(const Wav2Vec2Config& config);

struct CtcScores {
  double loss = 0;          // mean over utterances of loss / letters
  double wer = 0, cer = 0;  // percent
  std::vector<std::string> hypotheses, references;
};

/// Greedy: the best label of each frame, equal neighbours merged. The first `utterances` of the data; 0: all. Models without a padding
/// mask hear one utterance at a time, so that padding changes nothing.
CtcScores evaluate_ctc(Wav2Vec2ForCTC& model, Context& context, const WaveDataset& data, const CtcTokenizer& tokenizer, int64_t utterances);

}  // namespace alinea
