#include "apps/text_task.h"

#include <cmath>

#include "apps/batch.h"
#include "apps/text_evaluate.h"
#include "data/tokenizers/subword_tokenizer.h"
#include "models/hub/model_directory.h"

namespace alinea {

namespace {

// An initial model keeps its own tokenizer: its ids are what it has learnt.
std::shared_ptr<const Tokenizer> tokenizer_of(const TextTrainConfig& config, const std::filesystem::path& init) {
  config.check();
  return open_tokenizer(init.empty() ? std::filesystem::path(config.data) : model_path(init));
}

}  // namespace

TextTask::TextTask(Context& context, const TextTrainConfig& config, const std::filesystem::path& init)
    : context_(context),
      config_(config),
      tokenizer_(tokenizer_of(config, init)),
      train_(TextDataset::open(config.data, "train", tokenizer_)),
      dev_(TextDataset::open(config.data, "dev", tokenizer_)) {
  make_model(init);
}

void TextTask::make_model(const std::filesystem::path& init) {
  const int64_t source = tokenizer_->size(Side::source), target = tokenizer_->size(Side::target);
  if (!init.empty()) {
    model_ = load_text_model(model_path(init), context_);
    require_data(model_->config().source_words >= source && model_->config().target_words >= target,
                 "{}: the model knows {} and {} words, its tokenizer has {} and {}", init.string(), model_->config().source_words,
                 model_->config().target_words, source, target);
    model_->set_dropout(config_.model.dropout, config_.model.attention_dropout, config_.model.activation_dropout);
  } else {
    config_.model.source_words = source, config_.model.target_words = target;
    config_.model.pad_token = tokenizer_->special().pad, config_.model.eos_token = tokenizer_->special().end;
    config_.model.bos_token = tokenizer_->decoder_input(train_.labels(0)).front();
    const auto* own = dynamic_cast<const SubwordTokenizer*>(tokenizer_.get());
    require(!config_.model.share_embeddings || !own || own->subwords().joint,
            "train: model.share_embeddings needs one vocabulary for both languages; prepare the data with --joint");
    model_ = std::make_unique<TextTransformer>(context_, config_.model, RandomKey{uint64_t(config_.seed)}.child("model"));
    tell_counts();
  }
  config_.model = model_->config();
}

// How rare source tokens are (inverse document frequency) and how long targets become. Special tokens are never columns.
void TextTask::tell_counts() {
  const SentenceCounts counts = SentenceCounts::load(std::filesystem::path(config_.data) / "vocab.src.tsv");
  std::vector<float> rarity;
  for (size_t id = 0; id < counts.of.size(); ++id)
    rarity.push_back(int32_t(id) <= tokenizer_->special().unknown ? -INFINITY : float(std::log(double(1 + counts.sentences) / double(1 + counts.of[id])) + 1));
  for (const std::string& language : tokenizer_->languages()) rarity[size_t(tokenizer_->language(language))] = -INFINITY;
  model_->set_rarity(rarity);
  if (!model_->needs_target_length()) return;
  std::vector<LengthExample> examples;
  for (int64_t i = 0; i < train_.size(); ++i) {
    LengthExample e{train_.source(i), 0, int64_t(train_.labels(i).size())};
    e.positions = int64_t(e.source.size());
    examples.push_back(std::move(e));
  }
  model_->target_length().fit(examples);
}

Config TextTask::resolved() const {
  Config c;
  TextTrainConfig(config_).fields(c);
  return c;
}

void TextTask::start(BatchNumbers numbers) {
  order_.emplace(train_.lengths(), BatchSize{.sentences = config_.batch, .tokens = config_.batch_tokens},
                 RandomKey{uint64_t(config_.seed)}.child("data"));
  numbers_ = numbers, next_ = 0;
}

BatchLoss TextTask::next_loss(const Pass& pass) {
  const TextBatch batch = text_batch(train_, order_->batch(numbers_[next_++]), model_->config());
  BatchLoss out{model_->loss(batch, config_.loss.smoothing, pass), {}};
  for (const int32_t n : batch.target_lengths) out.tokens += n;
  return out;
}

Validation TextTask::validate(int64_t, std::span<const double>) {
  const double loss = text_loss(*model_, dev_);
  const TextScores s =
      score_text(translate_split(*model_, dev_, config_.validation.decoding, config_.validation.sentences), dev_);
  return {.metrics = {{"loss", loss}, {"perplexity", std::exp(loss)}, {"bleu", s.bleu}},
          .quality = s.bleu,
          .message = fmt::format("dev loss {:.3f}  BLEU {:.1f}", loss, s.bleu)};
}

void TextTask::save(const std::filesystem::path& folder) {
  save_model(folder, *model_);
  tokenizer_->save(folder);
  const GenerationConfig decoding = for_language(config_.validation.decoding, *tokenizer_, train_.row(0).tgt_lang);
  save_generation_config(folder, decoding.with_tokens(*decoding.decoder_start_token_id, model_->config().eos_token, model_->config().pad_token));
}

}  // namespace alinea
