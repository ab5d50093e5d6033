// Tiny corpora and configurations for training runs: speech to text, text to text, and sound to letters.
#pragma once
#include <cmath>
#include <filesystem>

#include "data/audio.h"
#include "data/dataset.h"
#include "data/recipes/text.h"
#include "data/tokenizers/ctc.h"
#include "data/vocabulary.h"
#include "engine/core/config.h"
#include "engine/core/files.h"
#include "models/hub/wav2vec2.h"
#include "tests/apps/tones.h"

namespace alinea::tiny_speech {

// Every utterance is two tones; the target names them.
inline void make_corpus(const std::filesystem::path& data) {
  std::filesystem::create_directories(data);
  const std::vector<std::string> names{"eins", "zwei", "drei"};
  Vocabulary::target({names.begin(), names.end()}).save(data / "vocab.tgt.txt");
  Vocabulary::source({"low", "mid", "high"}).save(data / "vocab.src.txt");
  const std::vector<std::string> source{"low", "mid", "high"};
  for (const auto& [split, count] : {std::pair{"train", 12}, {"dev", 3}, {"test", 3}}) {
    std::vector<ManifestRow> rows;
    for (int i = 0; i < count; ++i) {
      const int a = i % 3, b = (i / 3) % 3;
      Audio audio;
      for (int s = 0; s < 16000; ++s) audio.samples.push_back(0.3f * float(std::sin(2 * 3.14159265 * (s < 8000 ? 300.0 * (a + 1) : 300.0 * (b + 1)) * s / 16000)));
      const std::string id = std::string(split) + std::to_string(i);
      write_wav(data / (id + ".wav"), audio);
      rows.push_back({.id = id, .audio = id + ".wav", .n_frames = log_mel_frames(16000), .tgt_text = names[size_t(a)] + " " + names[size_t(b)], .speaker = "sine",
                      .src_text = source[size_t(a)] + " " + source[size_t(b)], .src_lang = "en", .tgt_lang = "de", .kind = "tones",
                      .words = {source[size_t(a)], source[size_t(b)]}, .keys = {}, .word_spans = {{0.f, 0.5f}, {0.5f, 1.f}}});
    }
    write_manifest(data / (std::string(split) + ".tsv"), rows);
  }
}

inline Config tiny(const std::filesystem::path& data, int steps, const std::string& stage = "offline") {
  Config c = Config::text(R"({"batch": 4, "log_every": 1, "save_every": 100, "validation": {"every": 0, "sentences": 2, "max_tokens": 6},
                              "model": {"d_model": 16, "heads": 2, "ffn": 32, "encoder_layers": 1, "decoder_layers": 1, "max_positions": 64, "policy": {"depth": 1}}})", "tiny");
  c.set("stage", stage);
  c.set("steps", std::to_string(steps));
  c.set("data", data.string());
  if (stage == "emma") c.set("loss.latency", "0.1"), c.set("loss.variance", "0.5"), c.set("freeze", R"(["model.encoder"])");
  return c;
}

}  // namespace alinea::tiny_speech

namespace alinea::tiny_text {

// "the red dog sees a cat": every word has one translation, adjectives change places.
inline void make_corpus(const std::filesystem::path& folder, bool joint = true) {
  const char* nouns[][2] = {{"dog", "Hund"}, {"cat", "Katze"}, {"house", "Haus"}, {"tree", "Baum"}};
  const char* colours[][2] = {{"red", "rot"}, {"blue", "blau"}, {"green", "gruen"}};
  std::string en, de;
  for (int i = 0; i < 72; ++i) {
    const auto &a = nouns[i % 4], &b = nouns[(i / 4) % 4], &c = colours[i % 3];
    en += std::string("the ") + c[0] + " " + a[0] + " sees a " + b[0] + "\n";
    de += std::string("das ") + a[1] + " " + c[1] + " sieht ein " + b[1] + "\n";
  }
  write_atomically(folder / "en.txt", en), write_atomically(folder / "de.txt", de);
  TextOptions o;
  o.source = folder / "en.txt", o.target = folder / "de.txt", o.joint = joint, o.out = folder / "data";
  o.subwords.vocabulary = 60;
  prepare_text(o);
}

inline Config tiny(const std::filesystem::path& data, int steps) {
  Config c = Config::text(
      R"({"batch_tokens": 80, "log_every": 1, "save_every": 100, "schedule": {"kind": "constant", "warmup": 5}, "optimizer": {"lr": 5e-3},
                              "validation": {"every": 0, "decoding": {"max_new_tokens": 12}},
                              "model": {"model_type": "alinea_text", "d_model": 16, "heads": 2, "ffn": 32, "encoder_layers": 1, "decoder_layers": 1, "max_positions": 64,
                                        "share_embeddings": true}})",
      "tiny");
  c.set("steps", std::to_string(steps));
  c.set("data", data.string());
  return c;
}

}  // namespace alinea::tiny_text

namespace alinea::tiny_waves {

inline void make_corpus(const std::filesystem::path& data, const std::string& letters = "ABC") {
  make_ctc_tokenizer(make_tones(data, {letters.substr(0, 1), letters.substr(1, 1), letters.substr(2, 1)}), false, data);
}

inline Config tiny(const std::filesystem::path& data, const std::string& stage, int steps) {
  Config c = Config::text(
      R"({"log_every": 1, "save_every": 100, "schedule": {"kind": "constant", "warmup": 5}, "optimizer": {"lr": 3e-3}, "validation": {"every": 0},
                              "waves": {"batch_seconds": 3, "min_seconds": 0.1, "max_seconds": 2},
                              "model": {"model_type": "wav2vec2", "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32,
                                        "do_stable_layer_norm": true, "feat_extract_norm": "layer", "conv_bias": true, "layerdrop": 0,
                                        "conv_dim": [16, 16, 16], "conv_kernel": [20, 8, 4], "conv_stride": [10, 8, 4],
                                        "num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "num_codevectors_per_group": 8, "codevector_dim": 16,
                                        "proj_codevector_dim": 16, "num_negatives": 5, "mask_time_prob": 0.5, "mask_time_length": 2,
                                        "ctc_loss_reduction": "mean", "ctc_zero_infinity": true}})",
      "tiny");
  c.set("stage", stage);
  c.set("steps", std::to_string(steps));
  c.set("data", data.string());
  return c;
}

}  // namespace alinea::tiny_waves
