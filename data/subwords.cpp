#include "data/subwords.h"

#include "engine/core/error.h"

namespace alinea {

Subwords Subwords::load(const std::filesystem::path& path) {
  SentencePieces p = SentencePieces::load(path);
  require_data(
      p.pad() == pad && p.end() == edge && p.unknown() == unknown,
      "subwords {}: pad, end and unknown have the ids {}, {} and {}; expected 0, 1 and 2: let alinea data prepare text train the model",
      path.string(), p.pad(), p.end(), p.unknown());
  return Subwords(std::move(p));
}

Subwords train_subwords(std::span<const std::string> sentences, const SubwordTraining& options, const std::string& place) {
  return Subwords(
      train_sentencepieces(sentences, options, {.unknown = Subwords::unknown, .pad = Subwords::pad, .start = {}, .end = Subwords::edge}, place));
}

SubwordPair SubwordPair::load(const std::filesystem::path& folder) {
  if (std::filesystem::exists(folder / "subwords.model")) {
    const Subwords both = Subwords::load(folder / "subwords.model");
    return {both, both, true};
  }
  return {Subwords::load(folder / "subwords.src.model"), Subwords::load(folder / "subwords.tgt.model"), false};
}

void SubwordPair::save(const std::filesystem::path& folder) const {
  if (joint) return source.save(folder / "subwords.model");
  source.save(folder / "subwords.src.model");
  target.save(folder / "subwords.tgt.model");
}

}  // namespace alinea
