// A corpus of tones: each utterance is one to three of them, and its text says which.
#pragma once
#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

#include "data/audio.h"
#include "data/features/log_mel.h"
#include "data/manifest.h"

namespace alinea {

/// names: what each of the three tones is called. gap: between the names. Every fourth has no text. Returns all texts.
inline std::vector<std::string> make_tones(const std::filesystem::path& data, const std::vector<std::string>& names, const std::string& gap = "", const std::string& language = "") {
  std::filesystem::create_directories(data);
  std::vector<std::string> texts;
  for (const auto& [split, count] : {std::pair{"train", 16}, {"dev", 4}}) {
    std::vector<ManifestRow> rows;
    for (int i = 0; i < count; ++i) {
      Audio audio;
      std::string text;
      for (int part = 0; part <= i % 3; ++part) {
        const int tone = (i / 2 + part * (1 + i % 2)) % 3;
        text += (text.empty() ? "" : gap) + names[size_t(tone)];
        for (int s = 0; s < 3200; ++s) audio.samples.push_back(s < 2600 ? 0.3f * float(std::sin(0.06 * (1 + 2 * tone) * s)) : 0.0f);
      }
      const std::string id = std::string(split) + std::to_string(i);
      write_wav(data / (id + ".wav"), audio);
      rows.push_back({.id = id, .audio = id + ".wav", .n_frames = log_mel_frames(int64_t(audio.samples.size())), .tgt_text = i % 4 == 3 ? "" : text, .tgt_lang = language});
      texts.push_back(text);
    }
    write_manifest(data / (std::string(split) + ".tsv"), rows);
  }
  return texts;
}

}  // namespace alinea
