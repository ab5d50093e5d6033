#include "data/subwords.h"

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include "engine/core/error.h"
#include "engine/core/files.h"

namespace alinea {

namespace sp = sentencepiece;

struct Subwords::Model {
  sp::SentencePieceProcessor processor;
  std::string bytes;
};

Subwords Subwords::from_bytes(std::string bytes, const std::string& place) {
  auto model = std::make_shared<Model>();
  model->bytes = std::move(bytes);
  const auto status = model->processor.LoadFromSerializedProto(model->bytes);
  require_data(status.ok(), "subwords {}: this is no sentencepiece model ({}); prepare the data again", place, status.ToString());
  const auto& p = model->processor;
  require_data(
      p.pad_id() == pad && p.eos_id() == edge && p.unk_id() == unknown,
      "subwords {}: pad, end and unknown have the ids {}, {} and {}; expected 0, 1 and 2: let alinea data prepare text train the model",
      place, p.pad_id(), p.eos_id(), p.unk_id());
  return Subwords(std::move(model));
}

Subwords Subwords::load(const std::filesystem::path& path) { return from_bytes(read_file(path), path.string()); }

void Subwords::save(const std::filesystem::path& path) const { write_atomically(path, model_->bytes); }

int64_t Subwords::size() const { return model_->processor.GetPieceSize(); }

const std::string& Subwords::piece(int32_t id) const {
  require(id >= 0 && id < size(), "subwords: id {}; expected 0 … {}", id, size() - 1);
  return model_->processor.IdToPiece(id);
}

std::vector<int32_t> Subwords::encode(std::string_view text) const {
  std::vector<int> ids;
  const auto status = model_->processor.Encode({text.data(), text.size()}, &ids);
  require_data(status.ok(), "subwords: '{}' could not be split ({})", text, status.ToString());
  return {ids.begin(), ids.end()};
}

std::string Subwords::decode(std::span<const int32_t> ids) const {
  std::string text;
  const auto status = model_->processor.Decode(std::vector<int>(ids.begin(), ids.end()), &text);
  require_data(status.ok(), "subwords: {} ids could not be joined ({})", ids.size(), status.ToString());
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

Subwords train_subwords(std::span<const std::string> sentences, const SubwordTraining& options, const std::string& place) {
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
                                                       {"pad_id", std::to_string(Subwords::pad)},
                                                       {"eos_id", std::to_string(Subwords::edge)},
                                                       {"unk_id", std::to_string(Subwords::unknown)},
                                                       {"bos_id", "-1"},
                                                       {"max_sentence_length", "1000000"},
                                                       {"num_threads", "2"},
                                                       {"minloglevel", "2"}},
                                                      &iterator, &bytes);
  require_data(status.ok(), "{}: no vocabulary of {} {} pieces can be made of {} sentences: {} (--vocab-size)", place, options.vocabulary,
               options.model, sentences.size(), complaint_of(status.ToString()));
  return Subwords::from_bytes(std::move(bytes), place);
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
