// Speech to text by a CTC model: its directory holds the weights, the feature extractor's settings and the vocabulary.
#pragma once
#include <filesystem>
#include <memory>
#include <string>

#include "data/ctc/frames.h"
#include "data/features/extractor.h"
#include "data/tokenizers/ctc.h"
#include "models/wav2vec2/ctc.h"

namespace alinea {

class Recognizer {
 public:
  /// Error{data} for a directory that lacks one of them, or where they do not fit each other.
  Recognizer(const std::filesystem::path& directory, Context& context);

  int rate() const { return features_.rate; }
  const CtcTokenizer& tokenizer() const { return *tokenizer_; }
  double seconds_per_frame() const;
  /// Error{data}, naming `place`, for sound that is too short for one frame.
  CtcFrames listen(const std::vector<float>& samples, const std::string& place);

 private:
  Context& context_;
  FeatureExtractor features_;
  std::unique_ptr<CtcTokenizer> tokenizer_;
  std::unique_ptr<Wav2Vec2ForCTC> model_;
};

}  // namespace alinea
