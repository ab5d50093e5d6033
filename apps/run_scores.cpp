#include "apps/attention_scores.h"
#include "apps/batch.h"
#include "apps/evaluate.h"
#include "apps/run_directory.h"
#include "apps/task.h"
#include "apps/text_evaluate.h"
#include "data/audio.h"
#include "models/hub/model_directory.h"

namespace alinea {

namespace {

// Watches the chosen layers of one block while a model runs sentence by sentence (batches of one, so that nothing but silence is padded).
template <class Model>
class Capture {
 public:
  Capture(Model& model, const RunScores& which, ScoreSet& set) : model_(model), which_(which), set_(set) {
    const TransformerConfig& c = model.config();
    const int64_t layers = which.block == "encoder_self" ? c.encoder_layers : c.decoder_layers;
    require(which.layer <= layers, "analyze: {} has {} layers, there is no layer {}", which.block, layers, which.layer);
    const int64_t heads = which.block == "encoder_self" ? c.heads : c.heads_of_decoder();
    require(which.head <= heads, "analyze: the model has {} heads there, there is no head {}", heads, which.head);
    for (int64_t layer = 0; layer < layers; ++layer) {
      if (which.layer != 0 && which.layer != layer + 1) continue;
      MultiHeadAttention& attention = attention_of(layer);
      for (int64_t h = 0; h < heads; ++h)
        if (which.head == 0 || which.head == h + 1)
          set.heads.push_back({.name = fmt::format("layer {}, head {}", layer + 1, h + 1), .family = std::string(attention.attention().family().name), .layer = layer + 1, .head = h + 1,
                               .positions = {}, .scores = {}});
      attention.watch([this, layer](const Tensor& weights, const Mask& mask) { take(layer + 1, weights, mask); });
      watched_.push_back(&attention);
    }
  }
  ~Capture() {
    for (MultiHeadAttention* attention : watched_) attention->watch({});
  }
  Capture(const Capture&) = delete;

  /// What the next pass of the model is about.
  void expect(SentencePositions positions) { positions_ = std::make_shared<SentencePositions>(std::move(positions)); }

 private:
  MultiHeadAttention& attention_of(int64_t layer) {
    if (which_.block == "encoder_self") return model_.encoder().self_attention(layer);
    return which_.block == "decoder_self" ? model_.decoder().self_attention(layer) : model_.decoder().cross_attention(layer);
  }

  void take(int64_t layer, const Tensor& weights, const Mask& mask) {
    const int64_t S = weights.size(3), columns = mask.source_lengths.empty() ? S : mask.source_lengths[0];
    const int64_t rows = which_.block == "encoder_self" ? columns : weights.size(2);
    std::vector<int64_t> visible;
    for (int64_t i = 0; i < rows; ++i) visible.push_back(mask.visible(0, i, columns));
    for (HeadScores& head : set_.heads) {
      if (head.layer != layer) continue;
      const std::vector<double> all = weights.slice(1, head.head - 1, head.head).compact().values<double>();
      std::vector<double> values;
      for (int64_t i = 0; i < rows; ++i) values.insert(values.end(), all.begin() + i * S, all.begin() + i * S + columns);
      const std::string place = fmt::format("{}, sentence {}, {} {}", which_.run, positions_->id, which_.block, head.name);
      if (head.family == "literal")
        for (const double x : values)
          require(x >= 0, "analyze: {}: the scores P + E of 'literal' with a residual may be negative ({} here), so they are no weights; its pattern stands in its configuration. Choose another "
                  "--block or --layer", place, x);
      head.scores.push_back(make_scores(rows, columns, std::move(values), place, visible, which_.diagonal));
      head.positions.push_back(positions_);
    }
  }

  Model& model_;
  const RunScores& which_;
  ScoreSet& set_;
  std::vector<MultiHeadAttention*> watched_;
  std::shared_ptr<const SentencePositions> positions_;
};

std::string folder_of_data(const RunScores& which) {
  require(!which.data.empty() || RunDirectory::exists(which.run), "analyze: {} is a model directory; give --data DIR, or --source with one sentence or sound file", which.run);
  return which.data.empty() ? data_of_run(which.run) : which.data;
}

int64_t sentences_of(const RunScores& which, int64_t size) { return which.limit > 0 ? std::min(which.limit, size) : size; }

std::string describe(const RunScores& which, int64_t sentences) {
  return which.source.empty() ? fmt::format("{}, {} sentences of {}", which.run, sentences, which.split) : fmt::format("{}, '{}'", which.run, which.source);
}

// Rows and columns of a block: target names are those of the tokens that a row writes; among themselves tokens look at what was written.
void name_positions(SentencePositions& p, const std::string& block, std::vector<std::string> source, std::vector<std::string> target) {
  if (block == "encoder_self") {
    p.rows = p.columns = std::move(source);
  } else if (block == "decoder_self") {
    target.insert(target.begin(), "<s>");
    p.rows = p.columns = std::move(target);
  } else {
    target.push_back("</s>");
    p.rows = std::move(target), p.columns = std::move(source);
  }
}

// What a sentence by itself is translated to at most: the start has a position, too.
int64_t longest_target(const TransformerConfig& config) { return std::min<int64_t>(100, config.max_positions - 1); }

// ---- text

TextBatch text_sentence(const std::string& text, TextTransformer& model, const Tokenizer& tokenizer) {
  const std::vector<int32_t> ids = tokenizer.encode(text, Side::source);
  require_data(!ids.empty(), "analyze: --source '{}' holds no token", text);
  SourceTokens source = source_tokens({tokenizer.frame(ids, Side::source)}, model.config());
  const GenerationConfig settings = for_language({.max_new_tokens = longest_target(model.config())}, tokenizer, "");
  const std::vector<int32_t> target = model.translate(source.ids, source.lengths, settings).tokens(0);
  std::vector<int64_t> in{*settings.decoder_start_token_id}, out(target.begin(), target.end());
  in.insert(in.end(), target.begin(), target.end());
  out.push_back(model.config().eos_token);
  const Shape shape{1, int64_t(in.size())};
  return {.source = source.ids, .source_lengths = source.lengths, .decoder_in = Context::cpu().from(in.data(), shape), .labels = Context::cpu().from(out.data(), shape), .target_lengths = {int32_t(in.size())}};
}

SentencePositions text_positions(const TextBatch& batch, const std::string& id, const RunScores& which, const TextTransformer& model, const Tokenizer& tokenizer) {
  SentencePositions p{.id = id};
  std::vector<std::string> source, target;
  for (const int64_t t : batch.source.values<int64_t>()) source.push_back(tokenizer.piece(int32_t(t), Side::source));
  for (const int64_t t : batch.decoder_in.values<int64_t>()) target.push_back(tokenizer.piece(int32_t(t), Side::target));
  target.erase(target.begin());                             // the start
  name_positions(p, which.block, std::move(source), std::move(target));
  if (which.block != "decoder_self") p.rarity = model.rarity_of(batch.source).values<double>();
  return p;
}

ScoreSet text_scores(Context& context, const RunScores& which, const std::filesystem::path& path) {
  ScoreSet set{.source = {}, .block = which.block, .heads = {}, .diagonal = which.diagonal};
  const auto model = load_text_model(path, context);
  const auto run = [&](const TextBatch& batch, const std::string& id, const Tokenizer& tokenizer, Capture<TextTransformer>& capture) {
    capture.expect(text_positions(batch, id, which, *model, tokenizer));
    model->logits(batch, {});
  };
  if (!which.source.empty()) {
    const auto tokenizer = open_tokenizer(path);
    const TextBatch batch = text_sentence(which.source, *model, *tokenizer);
    Capture<TextTransformer> capture(*model, which, set);   // now: translating is not to be watched
    run(batch, "source", *tokenizer, capture);
    set.source = describe(which, 1);
    return set;
  }
  const TextDataset data = TextDataset::open(folder_of_data(which), which.split, open_tokenizer(path));
  Capture<TextTransformer> capture(*model, which, set);
  const int64_t n = sentences_of(which, data.size());
  for (int64_t i = 0; i < n; ++i) {
    const int64_t one[] = {i};
    run(text_batch(data, one, model->config()), data.row(i).id, data.tokenizer(), capture);
  }
  set.source = describe(which, n);
  return set;
}

// ---- speech

Example sound_example(const std::string& file, const S2TConfig& config) {
  const Audio audio = read_audio(file);
  Example e{.id = file, .bins = config.input_bins, .source_ms = 1000 * audio.seconds()};
  e.features = LogMel(LogMelOptions{.bins = int(config.input_bins)})(audio.samples);
  for (float& x : e.features) x = float((x - config.feature_mean) / config.feature_scale);
  e.frames = int64_t(e.features.size()) / e.bins;
  require_data(e.frames > 0, "{}: is shorter than one frame of 25 ms", file);
  return e;
}

ScoreSet speech_scores(Context& context, const RunScores& which, const std::filesystem::path& path) {
  ScoreSet set{.source = {}, .block = which.block, .heads = {}, .diagonal = which.diagonal};
  const auto model = load_model(path, context);
  const S2TConfig& m = model->config();
  const Vocabulary words = Vocabulary::load(path / "vocab.tgt.txt");
  const CollateOptions padded{.padding = float(m.feature_padding), .multiple = m.frames_per_state() * std::max<int64_t>(1, m.encoder_chunk), .frames_per_state = 0};
  const bool monotonic = attention_family(m.attention.decoder_cross.layer(0).name).needs_policy;
  const auto run = [&](Example example, Capture<S2TTransformer>& capture) {
    SentencePositions p{.id = example.id};
    std::vector<std::string> states, target;
    for (int64_t s = 0; s < (example.frames + m.frames_per_state() - 1) / m.frames_per_state(); ++s) states.push_back(fmt::format("{:.2f} s", 0.01 * double((s + 1) * m.frames_per_state())));
    for (const int32_t t : example.target) target.push_back(words.word(t));
    name_positions(p, which.block, std::move(states), std::move(target));
    std::vector<Example> one;
    one.push_back(std::move(example));
    const S2TBatch batch = to_device(collate(std::move(one), padded), context, m);
    capture.expect(std::move(p));
    if (which.block == "encoder_self") model->encoder().forward(batch.features, batch.frames, {});
    else model->loss(batch, monotonic ? CrossAttention::monotonic : CrossAttention::full, {.frame = 0}, {});
  };
  if (!which.source.empty()) {
    Example example = sound_example(which.source, m);
    const int64_t F = (example.frames + padded.multiple - 1) / padded.multiple * padded.multiple;
    std::vector<float> features = example.features;
    features.resize(size_t(F * example.bins), padded.padding);
    example.target = model->translate(context.from(features.data(), {1, F, example.bins}), {int32_t(example.frames)}, {.max_new_tokens = longest_target(m)}).tokens(0);
    Capture<S2TTransformer> capture(*model, which, set);
    run(std::move(example), capture);
    set.source = describe(which, 1);
    return set;
  }
  const SpeechDataset data = SpeechDataset::open(folder_of_data(which), which.split);
  Capture<S2TTransformer> capture(*model, which, set);
  const int64_t n = sentences_of(which, data.size());
  for (int64_t i = 0; i < n; ++i) run(data.load(i), capture);
  set.source = describe(which, n);
  return set;
}

}  // namespace

ScoreSet run_scores(Context& context, const RunScores& which) {
  const auto path = model_path(which.run, !which.last);
  return is_text_model(model_type_of(path)) ? text_scores(context, which, path) : speech_scores(context, which, path);
}

}  // namespace alinea
