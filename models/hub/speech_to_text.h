// Speech2Text (fairseq's s2t_transformer: Wang et al. 2020, "fairseq S2T") as Hugging Face's transformers store it. The model is
// S2TTransformer with a stem of gated convolutions, fairseq's sinusoids, and an encoder that sees the whole utterance.
#pragma once
#include "models/hub/seq2seq_config.h"
#include "models/s2t_config.h"

namespace alinea {

/// config.json with model_type speech_to_text; the defaults are Speech2TextConfig's in transformers.
struct Speech2TextConfig : Seq2SeqConfig {
  int64_t max_source_positions = 6000, max_target_positions = 1024, num_conv_layers = 2, conv_channels = 1024, input_feat_per_channel = 80, input_channels = 1;
  std::vector<int64_t> conv_kernel_sizes{5, 5};

  Speech2TextConfig();
  void fields(Config& c);
  static SpeechSettingNames names();
  /// The model's settings. Features come normalised: nothing is subtracted, silence is 0.
  S2TConfig speech() const;
  /// From a file's tree, which is kept whole as the origin.
  static S2TConfig read(Config file);
  /// The keys of a model: over those it was opened with. A model that is no Speech2Text is refused with what differs.
  static Speech2TextConfig of(const S2TConfig& config);
};

}  // namespace alinea
