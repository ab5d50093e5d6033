#include "models/hub/speech_to_text.h"

namespace alinea {

Speech2TextConfig::Speech2TextConfig() {
  model_type = "speech_to_text", activation_function = "relu", architectures = {"Speech2TextForConditionalGeneration"};
  vocab_size = 10000, d_model = 256, scale_embedding = true, decoder_start_token_id = 2;
  encoder_layers = 12, decoder_layers = 6, encoder_ffn_dim = decoder_ffn_dim = 2048, encoder_attention_heads = decoder_attention_heads = 4;
}

void Speech2TextConfig::fields(Config& c) {
  Seq2SeqConfig::fields(c);
  c.field("max_source_positions", max_source_positions, "most log-mel frames of an utterance, after the convolutions");
  c.field("max_target_positions", max_target_positions, "longest target");
  c.field("num_conv_layers", num_conv_layers, "convolutions of stride 2 before the encoder");
  c.field("conv_kernel_sizes", conv_kernel_sizes, "kernel width of each");
  c.field("conv_channels", conv_channels, "channels between them, before the gate halves them");
  c.field("input_feat_per_channel", input_feat_per_channel, "log-mel bins");
  c.field("input_channels", input_channels, "channels of the features");
}

SpeechSettingNames Speech2TextConfig::names() {
  return {Seq2SeqConfig::names("model", "max_source_positions or max_target_positions"), "input_feat_per_channel", "num_conv_layers", "conv_kernel_sizes"};
}

S2TConfig Speech2TextConfig::speech() const {
  require(num_conv_layers > 0 && int64_t(conv_kernel_sizes.size()) == num_conv_layers, "speech_to_text: num_conv_layers is {}, conv_kernel_sizes has {} entries", num_conv_layers,
          conv_kernel_sizes.size());
  const int64_t kernel = conv_kernel_sizes[0];
  for (const int64_t k : conv_kernel_sizes)
    require(k == kernel && k % 2 == 1, "speech_to_text: conv_kernel_sizes has {} and {}; only odd kernels of one size are supported", kernel, k);
  require(input_channels == 1, "speech_to_text: input_channels is {}, only 1 is supported", input_channels);
  S2TConfig t;
  give(t);
  t.source_words = 0, t.max_positions = std::max(max_source_positions, max_target_positions);
  t.positions = "fairseq", t.scale_stem = scale_embedding;
  t.input_bins = input_feat_per_channel;
  t.stem = {.kind = "glu", .layers = num_conv_layers, .kernel = kernel, .channels = conv_channels};
  t.encoder_conv_kernel = 0, t.encoder_chunk = 0;
  t.feature_mean = 0, t.feature_scale = 1, t.feature_padding = 0;
  return t;
}

S2TConfig Speech2TextConfig::read(Config file) {
  JsonText origin{file.dump()};                             // as written, before defaults are added
  Speech2TextConfig own;
  own.fields(file);
  S2TConfig t = own.speech();
  t.origin = std::move(origin);
  return t;
}

Speech2TextConfig Speech2TextConfig::of(const S2TConfig& t) {
  require(t.positions == "fairseq" && t.stem.kind == "glu" && t.encoder_chunk == 0 && t.encoder_conv_kernel == 0 && t.scale_stem == t.scale_embedding && !t.embedding_norm &&
              !t.logits_bias && !t.has_policy && t.source_words == 0,
          "model: model_type speech_to_text needs positions fairseq, stem.kind glu, encoder_chunk 0, encoder_conv_kernel 0, scale_stem as scale_embedding, source_words 0, and neither "
          "embedding_norm, logits_bias nor policies; found positions {}, stem.kind {}, encoder_chunk {}, encoder_conv_kernel {}, scale_stem {}, source_words {}; or set model_type to alinea_s2t",
          t.positions, t.stem.kind, t.encoder_chunk, t.encoder_conv_kernel, t.scale_stem, t.source_words);
  Speech2TextConfig own;
  Config origin = Config::text(t.origin.text, "model.origin");
  own.fields(origin);
  own.take(t);
  if (std::max(own.max_source_positions, own.max_target_positions) != t.max_positions) own.max_source_positions = own.max_target_positions = t.max_positions;
  own.num_conv_layers = t.stem.layers, own.conv_kernel_sizes.assign(size_t(t.stem.layers), t.stem.kernel), own.conv_channels = t.stem.channels;
  own.input_feat_per_channel = t.input_bins;
  return own;
}

}  // namespace alinea
