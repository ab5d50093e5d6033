// Manifests: tab-separated files with a header line, as fairseq's speech-to-text task reads them (id, audio, n_frames, tgt_text, speaker)
// and further columns: src_text, src_lang, tgt_lang, kind, words (recordings, comma separated), word_spans (begin-end in seconds, comma
// separated), word_ends (the ends alone), keys (what the split is made by). Columns may come in any order; unknown ones are ignored;
// id, audio, n_frames and tgt_text must be there.
#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace alinea {

struct ManifestRow {
  std::string id, audio;       // the audio's path, relative to the manifest's folder or absolute
  int64_t n_frames = 0;        // log-mel frames (10 ms)
  std::string tgt_text, speaker, src_text, src_lang, tgt_lang, kind;
  std::vector<std::string> words, keys;
  std::vector<std::pair<float, float>> word_spans;
};

/// Throws Error{data} with file and line for missing columns, wrong field counts, bad numbers, repeated ids, and an empty manifest.
std::vector<ManifestRow> read_manifest(const std::filesystem::path& path);

void write_manifest(const std::filesystem::path& path, const std::vector<ManifestRow>& rows);

/// A pair of sentences. Its manifest has the columns id, src_text, tgt_text and perhaps src_lang and tgt_lang.
struct TextRow {
  std::string id, src_text, tgt_text, src_lang, tgt_lang;
};

std::vector<TextRow> read_text_manifest(const std::filesystem::path& path);
void write_text_manifest(const std::filesystem::path& path, const std::vector<TextRow>& rows);

/// "a,b" → {a, b}; "" → {}.
std::vector<std::string> split_text(std::string_view text, char separator);
std::string join_text(const std::vector<std::string>& parts, std::string_view separator);

}  // namespace alinea
