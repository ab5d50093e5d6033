// What the tests of wav2vec 2.0 share.
#pragma once
#include "models/hub/weights.h"
#include "models/wav2vec2/config.h"
#include "tests/golden_case.h"

namespace alinea {

inline Wav2Vec2Config config_of(const GoldenCase& golden) {
  Wav2Vec2Config c;
  Config file = Config::file(golden.file("config.json"));
  c.fields(file);
  return c;
}

template <class Model>
Model load(const GoldenCase& golden, const Wav2Vec2Config& config) {
  Model model(Context::cpu(), config, RandomKey::deferred());
  load_weights(model, Checkpoint::open(golden.directory()));
  return model;
}

/// A model small enough to train in a test: 60 samples a frame.
inline Wav2Vec2Config small_wav2vec2() {
  Wav2Vec2Config c;
  c.hidden_size = 16, c.num_hidden_layers = 2, c.num_attention_heads = 2, c.intermediate_size = 24;
  c.conv_dim = {8, 8, 8}, c.conv_kernel = {10, 4, 3}, c.conv_stride = {5, 4, 3};
  c.num_conv_pos_embeddings = 8, c.num_conv_pos_embedding_groups = 4;
  c.vocab_size = 7, c.num_codevectors_per_group = 6, c.codevector_dim = 8, c.proj_codevector_dim = 10, c.num_negatives = 5;
  c.mask_time_length = 3;
  return c;
}

inline Tensor noise(const Shape& shape, uint64_t seed) {
  Draw draw(RandomKey{seed});
  std::vector<float> v(size_t(shape.count()));
  for (float& x : v) x = float(draw.normal());
  return Context::cpu().from(v.data(), shape);
}

}  // namespace alinea
