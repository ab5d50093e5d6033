#include "models/wav2vec2/wav2vec2.h"

#include "autograd/glu.h"
#include "autograd/mask_frames.h"
#include "models/wav2vec2/sampling.h"

namespace alinea {

Wav2Vec2::Wav2Vec2(Context& context, const Wav2Vec2Config& config, RandomKey key) : context_(context), config_(config) {
  config.check();
  features_ = Wav2Vec2FeatureEncoder(context, config, key.child("features"));
  projection_norm_ = LayerNormLayer(context, config.conv_dim.back(), config.layer_norm_eps);
  projection_ = LinearLayer(context, config.conv_dim.back(), config.hidden_size, key.child("projection"));
  if (config.has_mask_vector()) mask_vector_ = uniform_parameter(context, {config.hidden_size}, 1, key.child("mask"));
  encoder_ = Wav2Vec2Encoder(context, config, key.child("encoder"));
  if (config.add_adapter) make_adapter(key.child("adapter"));
}

void Wav2Vec2::make_adapter(RandomKey key) {
  const int64_t width = config_.output_size();
  if (width != config_.hidden_size) {
    adapter_.projection = LinearLayer(context_, config_.hidden_size, width, key.child("projection"));
    adapter_.norm = LayerNormLayer(context_, width);
  }
  for (int64_t i = 0; i < config_.num_adapter_layers; ++i)
    adapter_.convs.emplace_back(context_, width, 2 * width, config_.adapter_kernel_size, Conv1d{.stride = config_.adapter_stride, .pad_left = 1, .pad_right = 1},
                                key.child(uint64_t(i)));
}

std::vector<int32_t> Wav2Vec2::frame_lengths(const std::vector<int32_t>& samples) const {
  std::vector<int32_t> frames;
  for (const int32_t n : samples) {
    frames.push_back(int32_t(config_.frames(n)));
    require_data(frames.back() > 0, "wav2vec2: item {} has {} samples; a frame needs {}, drop the item or fill it up with zeros", frames.size() - 1, n,
                 config_.receptive_field());
  }
  return frames;
}

std::vector<int32_t> Wav2Vec2::state_lengths(const std::vector<int32_t>& frames) const {
  std::vector<int32_t> states;
  for (const int32_t n : frames) states.push_back(int32_t(config_.states(n)));
  return states;
}

Wav2Vec2::Output Wav2Vec2::forward(const Tensor& samples, const std::vector<int32_t>& lengths, const Options& options, const Pass& pass) {
  require(samples.rank() == 2 && (lengths.empty() || int64_t(lengths.size()) == samples.size(0)), "wav2vec2: samples are {} with {} lengths; [B, N] and one length per item are needed",
          samples.shape(), lengths.size());
  for (const int32_t n : lengths) require(n <= samples.size(1), "wav2vec2: an item has {} samples, the tensor holds {}", n, samples.size(1));
  Output out;
  out.frames = frame_lengths(lengths.empty() ? std::vector<int32_t>(size_t(samples.size(0)), int32_t(samples.size(1))) : lengths);
  out.lengths = state_lengths(out.frames);
  out.conv_features = features_.forward(samples, pass.tape);
  out.extract_features = projection_norm_(out.conv_features, pass.tape);
  Variable x = drop(projection_(out.extract_features, pass.tape), config_.feat_proj_dropout, pass.child("projection"));
  x = mask(x, out, !lengths.empty(), options, pass);
  out.states = encoder_.forward(x, lengths.empty() ? lengths : out.frames, options.hidden_states ? &out.hidden_states : nullptr, pass.child("encoder"));
  if (config_.add_adapter) out.states = adapt(out.states, pass.tape);
  return out;
}

Variable Wav2Vec2::mask(const Variable& x, const Output& out, bool padded, const Options& options, const Pass& pass) {
  const int64_t B = x.size(0), T = x.size(1);
  const bool draw = pass.training && config_.apply_spec_augment;
  const RandomKey key = pass.key.child("mask");
  Tensor time = options.mask_time, channels = options.mask_channels;
  if (!time && draw && config_.mask_time_prob > 0)
    time = SpanMask{config_.mask_time_prob, config_.mask_time_length, config_.mask_time_min_masks}.draw(B, T, out.frames, key.child("time"));
  if (!channels && draw && config_.mask_feature_prob > 0)
    channels = SpanMask{config_.mask_feature_prob, config_.mask_feature_length, config_.mask_feature_min_masks}.draw(B, config_.hidden_size, {}, key.child("channels"));
  require(!time || mask_vector_.value, "wav2vec2: a mask over time needs the vector that stands for masked frames; this model has none (mask_time_prob and mask_feature_prob are 0)");
  if (padded) {
    require(!time || time.shape() == Shape{B, T}, "wav2vec2: mask_time is {}, the frames are [{}, {}]", time.shape(), B, T);
    time = time ? time.to(DType::u8).to(Context::cpu()).clone() : Context::cpu().zeros({B, T}, DType::u8);
    for (int64_t b = 0; b < B; ++b)
      for (int64_t t = out.frames[size_t(b)]; t < T; ++t) time.data<uint8_t>()[b * T + t] = MaskFrames::zero;
  }
  return mask_frames(x, mask_vector_.value ? on(pass.tape, mask_vector_) : Variable(), time, channels);
}

Variable Wav2Vec2::adapt(Variable x, Tape* tape) {
  if (adapter_.projection.weight.value) x = adapter_.norm(adapter_.projection(x, tape), tape);
  for (Conv1dLayer& conv : adapter_.convs) x = glu(conv(x, tape));
  return x;
}

void Wav2Vec2::visit(const std::string& prefix, const Visitor& v) {
  features_.visit(path(prefix, "feature_extractor"), v);
  projection_norm_.visit(path(prefix, "feature_projection.layer_norm"), v);
  projection_.visit(path(prefix, "feature_projection.projection"), v);
  if (mask_vector_.value) v(path(prefix, "masked_spec_embed"), mask_vector_);
  encoder_.visit(path(prefix, "encoder"), v);
  if (adapter_.projection.weight.value) {
    adapter_.projection.visit(path(prefix, "adapter.proj"), v);
    adapter_.norm.visit(path(prefix, "adapter.proj_layer_norm"), v);
  }
  for (size_t i = 0; i < adapter_.convs.size(); ++i) adapter_.convs[i].visit(path(prefix, fmt::format("adapter.layers.{}.conv", i)), v);
}

}  // namespace alinea
