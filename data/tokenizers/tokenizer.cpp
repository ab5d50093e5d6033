#include "data/tokenizers/tokenizer.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "data/tokenizers/ctc.h"
#include "data/tokenizers/mbart.h"
#include "data/tokenizers/speech_to_text.h"
#include "data/tokenizers/subword_tokenizer.h"
#include "engine/core/error.h"

namespace alinea {

std::optional<int32_t> Tokenizer::find_language(std::string_view) const { return {}; }

int32_t Tokenizer::language(std::string_view code) const {
  if (const auto id = find_language(code)) return *id;
  const auto known = languages();
  require(!known.empty(), "{}: this tokenizer tells no languages apart, so '{}' means nothing to it; leave the language out", kind(), code);
  if (code.empty()) fail(Exit::usage, "{}: tokenizer_config.json names no language for this side; give one of {}", kind(), fmt::join(known, " "));
  fail(Exit::usage, "{}: there is no language '{}'; it has {}", kind(), code, fmt::join(known, " "));
}

std::unique_ptr<Tokenizer> open_tokenizer(const std::filesystem::path& directory) {
  require_data(std::filesystem::is_directory(directory), "{}: there is no such directory; a tokenizer is a directory of files", directory.string());
  TokenizerFiles files(directory);
  if (files.has("subwords.model") || files.has("subwords.src.model")) return std::make_unique<SubwordTokenizer>(std::move(files));
  const std::string name = files.config().text("tokenizer_class");
  const bool vocabulary = files.has("vocab.json"), model = files.has("sentencepiece.bpe.model");
  if (name.starts_with("MBart") || (name.empty() && model && !vocabulary)) return std::make_unique<MBartTokenizer>(std::move(files));
  if (name.starts_with("Speech2Text") || (name.empty() && model)) return std::make_unique<SpeechToTextTokenizer>(std::move(files));
  if (name.starts_with("Wav2Vec2CTC") || (name.empty() && vocabulary)) return std::make_unique<CtcTokenizer>(std::move(files));
  require_data(name.empty(), "{}: tokenizer_class '{}' is not known; known are MBartTokenizer, MBart50Tokenizer, Speech2TextTokenizer and Wav2Vec2CTCTokenizer",
               (directory / "tokenizer_config.json").string(), name);
  fail(Exit::data, "{}: holds no tokenizer; expected sentencepiece.bpe.model, vocab.json or subwords.model beside the model", directory.string());
}

}  // namespace alinea
