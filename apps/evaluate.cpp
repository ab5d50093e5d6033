#include "apps/evaluate.h"

#include <nlohmann/json.hpp>

#include "data/scores/bleu.h"
#include "data/scores/simuleval_log.h"
#include "data/scores/too_early.h"
#include "data/scores/wer.h"
#include "data/scores/words.h"
#include "engine/core/files.h"
#include "engine/core/parallel.h"

namespace alinea {

double heard_ms(const S2TConfig& config, int64_t states, double source_ms) {
  return std::min(source_ms, double(states * config.frames_per_state()) * 10 + 15);   // a 25 ms window starts every 10 ms
}

namespace {

struct Encoded {
  Tensor features;
  std::vector<int32_t> frames;
  std::vector<Example> examples;
};

Encoded load_batch(const SpeechDataset& data, Context& context, const S2TConfig& config, int64_t begin, int64_t end) {
  Encoded e;
  for (int64_t i = begin; i < end; ++i) e.examples.push_back(data.load(i));
  HostBatch host = collate(std::move(e.examples), {.padding = float(config.feature_padding), .multiple = config.frames_per_state() * std::max<int64_t>(1, config.encoder_chunk), .frames_per_state = 0});
  e.features = context.from(host.features.data(), {host.B, host.F, host.bins});
  e.frames = std::move(host.frames);
  e.examples = std::move(host.examples);
  return e;
}

void write_words(Instance& instance, const Vocabulary& target, int32_t token, double at) {
  instance.words.push_back(target.word(token));
  instance.delays.push_back(at);
}

// One utterance whose encoder states are known, read chunk by chunk. The states of a prefix equal those of the whole utterance.
void stream_instance(S2TTransformer& model, const Tensor& states, const StreamOptions& options, const Vocabulary& target, Instance& instance) {
  const int64_t S = states.size(1), chunk = std::max<int64_t>(1, model.config().encoder_chunk);
  SimultaneousDecoder decoder(model, options, S);
  auto take = [&](std::vector<Decision> decisions) {
    for (Decision& d : decisions) {
      if (d.write) write_words(instance, target, d.token, heard_ms(model.config(), d.states_read, instance.source_ms));
      instance.decisions.push_back(std::move(d));
    }
  };
  for (int64_t begin = 0; begin < S; begin += chunk) {
    const int64_t end = std::min(S, begin + chunk);
    if (end == S) {                                         // the last piece arrives together with the news that it is the last
      decoder.read(states.slice(1, begin, end));
      take(decoder.finish());
    } else {
      take(decoder.push(states.slice(1, begin, end)));
    }
  }
}

}  // namespace

std::vector<Instance> decode(S2TTransformer& model, Context& context, const SpeechDataset& data, const Vocabulary& target, const EvaluationOptions& options) {
  const int64_t n = options.limit > 0 ? std::min(options.limit, data.size()) : data.size();
  std::vector<Instance> instances(static_cast<size_t>(n));
  for (int64_t begin = 0; begin < n; begin += options.batch) {
    const int64_t end = std::min(n, begin + options.batch);
    const Encoded batch = load_batch(data, context, model.config(), begin, end);
    for (int64_t i = begin; i < end; ++i) {
      const Example& e = batch.examples[size_t(i - begin)];
      instances[size_t(i)] = {.id = e.id, .reference = e.tgt_text, .source_ms = e.source_ms};
    }
    if (options.offline) {
      const Generation best = model.translate(batch.features, batch.frames, {.max_new_tokens = options.stream.max_tokens});
      for (int64_t i = begin; i < end; ++i)
        for (const int32_t t : best.tokens(size_t(i - begin))) write_words(instances[size_t(i)], target, t, instances[size_t(i)].source_ms);
    } else {
      const auto encoded = model.encoder().forward(batch.features, batch.frames, {});
      parallel_for(end - begin, 1, [&](int64_t first, int64_t last) {
        for (int64_t b = first; b < last; ++b)
          stream_instance(model, encoded.states.value().slice(0, b, b + 1).slice(1, 0, encoded.lengths[size_t(b)]).compact(), options.stream, target,
                          instances[size_t(begin + b)]);
      });
    }
  }
  for (Instance& i : instances) i.hypothesis = join_words(i.words);
  return instances;
}

EvaluationScores score(const std::vector<Instance>& instances, const SpeechDataset& data) {
  EvaluationScores s;
  std::vector<std::string> hypotheses, references;
  std::vector<std::optional<Latency>> latencies;
  TooEarly early;
  for (size_t i = 0; i < instances.size(); ++i) {
    const Instance& x = instances[i];
    hypotheses.push_back(x.hypothesis);
    references.push_back(x.reference);
    s.source_ms += x.source_ms / double(instances.size());
    latencies.push_back(latency(x.delays, x.source_ms, double(split_words(x.reference).size())));
    std::vector<HeardWord> heard;
    const ManifestRow& row = data.row(int64_t(i));
    for (size_t w = 0; w < row.words.size() && w < row.word_spans.size(); ++w)
      heard.push_back({row.words[w], 1000.0 * row.word_spans[w].first, 1000.0 * row.word_spans[w].second});
    early += too_early(heard, x.words, x.delays);
  }
  s.exact_match = exact_match(hypotheses, references);
  const BleuScore bleu = corpus_bleu(hypotheses, std::vector<std::vector<std::string>>{references});
  s.bleu = bleu.score;
  s.bleu_signature = bleu.signature;
  if (const auto mean = mean_latency(latencies)) s.al = mean->al, s.laal = mean->laal, s.ap = mean->ap, s.dal = mean->dal, s.atd = mean->atd;
  s.unit_too_early = early.units_percent();
  s.hour_guessed = early.hours_percent();
  s.units = early.units;
  s.hours = early.hours;
  return s;
}

void write_evaluation(const std::string& folder, const std::vector<Instance>& instances, const EvaluationScores& s, const EvaluationOptions& options) {
  make_folder(folder);
  SimulLog log;
  std::string hypotheses;
  for (size_t i = 0; i < instances.size(); ++i) {
    const Instance& x = instances[i];
    log.instances.push_back({.index = int64_t(i), .prediction = x.hypothesis, .delays = x.delays, .elapsed = x.delays, .reference = x.reference, .source = {x.id}, .source_length = x.source_ms});
    hypotheses += x.hypothesis + "\n";
  }
  write_simuleval_log(folder, log);
  write_atomically(folder + "/hypotheses.txt", hypotheses);
  const nlohmann::ordered_json json = {{"sentences", instances.size()}, {"exact_match", s.exact_match}, {"bleu", s.bleu}, {"bleu_signature", s.bleu_signature}, {"AL", s.al},
                                       {"LAAL", s.laal}, {"AP", s.ap}, {"DAL", s.dal}, {"ATD", s.atd}, {"unit_digits_too_early_percent", s.unit_too_early},
                                       {"unit_digits", s.units}, {"hours_guessed_percent", s.hour_guessed}, {"hours", s.hours},
                                       {"threshold", options.stream.threshold}};
  write_atomically(folder + "/scores.json", json.dump(1) + "\n");
}

}  // namespace alinea
