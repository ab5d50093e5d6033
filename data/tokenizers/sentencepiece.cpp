#include "data/tokenizers/sentencepiece.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include "data/tokenizers/sentencepiece_check.h"
#include "engine/core/error.h"
#include "engine/core/files.h"

namespace alinea {

namespace sp = sentencepiece;

struct SentencePieces::Model {
  sp::SentencePieceProcessor processor;
  std::string bytes;
};

SentencePieces SentencePieces::from_bytes(std::string bytes, const std::string& place) {
  check_sentencepiece_model(bytes, place);
  auto model = std::make_shared<Model>();
  model->bytes = std::move(bytes);
  try {
    const auto status = model->processor.LoadFromSerializedProto(model->bytes);
    require_data(status.ok() && model->processor.GetPieceSize() > 0, "{}: this is no sentencepiece model ({})", place, status.ToString());
  } catch (const Error&) {
    throw;
  } catch (const std::exception& e) {                       // of the trie of its pieces
    fail(Exit::data, "{}: this is no sentencepiece model ({})", place, e.what());
  }
  return SentencePieces(std::move(model));
}

SentencePieces SentencePieces::load(const std::filesystem::path& path) { return from_bytes(read_file(path), path.string()); }

void SentencePieces::save(const std::filesystem::path& path) const { write_atomically(path, model_->bytes); }

const std::string& SentencePieces::bytes() const { return model_->bytes; }

int64_t SentencePieces::size() const { return model_->processor.GetPieceSize(); }

const std::string& SentencePieces::piece(int32_t id) const {
  require(id >= 0 && id < size(), "subwords: id {}; expected 0 … {}", id, size() - 1);
  return model_->processor.IdToPiece(id);
}

float SentencePieces::score(int32_t id) const {
  require(id >= 0 && id < size(), "subwords: id {}; expected 0 … {}", id, size() - 1);
  return model_->processor.GetScore(id);
}

std::optional<int32_t> SentencePieces::find(std::string_view piece) const {
  const int32_t id = model_->processor.PieceToId({piece.data(), piece.size()});  // the unknown one when there is no such piece
  return id >= 0 && id < size() && this->piece(id) == piece ? std::optional(id) : std::nullopt;
}

int32_t SentencePieces::pad() const { return model_->processor.pad_id(); }
int32_t SentencePieces::start() const { return model_->processor.bos_id(); }
int32_t SentencePieces::end() const { return model_->processor.eos_id(); }
int32_t SentencePieces::unknown() const { return model_->processor.unk_id(); }

std::vector<int32_t> SentencePieces::encode(std::string_view text) const {
  std::vector<int> ids;
  const auto status = model_->processor.Encode({text.data(), text.size()}, &ids);
  require_data(status.ok(), "subwords: '{}' could not be split ({})", text, status.ToString());
  return {ids.begin(), ids.end()};
}

std::vector<std::string> SentencePieces::split(std::string_view text) const {
  std::vector<std::string> pieces;
  const auto status = model_->processor.Encode({text.data(), text.size()}, &pieces);
  require_data(status.ok(), "subwords: '{}' could not be split ({})", text, status.ToString());
  return pieces;
}

std::string SentencePieces::decode(std::span<const int32_t> ids) const {
  std::string text;
  for (const int32_t id : ids) require(id >= 0 && id < size(), "subwords: id {}; expected 0 … {}", id, size() - 1);
  const auto status = model_->processor.Decode(std::vector<int>(ids.begin(), ids.end()), &text);
  require_data(status.ok(), "subwords: {} ids could not be joined ({})", ids.size(), status.ToString());
  return text;
}

std::string SentencePieces::join(const std::vector<std::string>& pieces) const {
  std::string text;
  const auto status = model_->processor.Decode(pieces, &text);
  require_data(status.ok(), "subwords: {} pieces could not be joined ({})", pieces.size(), status.ToString());
  return text;
}

namespace {

class Sentences final : public sp::SentenceIterator {
 public:
  explicit Sentences(std::span<const std::string> all) : all_(all) {}
  bool done() const override { return at_ >= all_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return all_[at_]; }
  sp::util::Status status() const override { return {}; }

 private:
  std::span<const std::string> all_;
  size_t at_ = 0;
};

// "Internal: ./src/file.cc(660) [condition] Vocabulary size too high (500). Please …" -> from "Vocabulary" on.
std::string complaint_of(const std::string& status) {
  const size_t end = status.rfind("] ");
  return end == std::string::npos ? status : status.substr(end + 2);
}

}  // namespace

SentencePieces train_sentencepieces(std::span<const std::string> sentences, const SubwordTraining& options, const SpecialPieces& special,
                                    const std::string& place) {
  require(options.model == "bpe" || options.model == "unigram", "subwords: model '{}' is not bpe or unigram", options.model);
  require(options.vocabulary >= 4 && options.vocabulary <= 1000000, "subwords: a vocabulary of {}; expected 4 … 1000000",
          options.vocabulary);
  require(options.character_coverage > 0 && options.character_coverage <= 1, "subwords: character coverage {} must lie in (0, 1]",
          options.character_coverage);
  Sentences iterator(sentences);
  std::string bytes;
  // Sums over threads end up in a piece's score, so their number is fixed rather than the machine's.
  const auto status = sp::SentencePieceTrainer::Train({{"model_type", options.model},
                                                       {"vocab_size", std::to_string(options.vocabulary)},
                                                       {"character_coverage", fmt::format("{}", options.character_coverage)},
                                                       {"unk_id", std::to_string(special.unknown)},
                                                       {"pad_id", std::to_string(special.pad.value_or(-1))},
                                                       {"bos_id", std::to_string(special.start.value_or(-1))},
                                                       {"eos_id", std::to_string(special.end.value_or(-1))},
                                                       {"max_sentence_length", "1000000"},
                                                       {"num_threads", "2"},
                                                       {"minloglevel", "2"}},
                                                      &iterator, &bytes);
  require_data(status.ok(), "{}: no vocabulary of {} {} pieces can be made of {} sentences: {} (--vocab-size)", place, options.vocabulary,
               options.model, sentences.size(), complaint_of(status.ToString()));
  return SentencePieces::from_bytes(std::move(bytes), place);
}

}  // namespace alinea
