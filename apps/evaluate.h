// Decoding a test set, offline or streamed, and scoring it.
#pragma once
#include <string>
#include <vector>

#include "data/dataset.h"
#include "data/vocabulary.h"
#include "models/simultaneous.h"

namespace alinea {

/// What one utterance became.
struct Instance {
  std::string id, reference, hypothesis;
  std::vector<std::string> words;                           // the hypothesis, word by word
  std::vector<double> delays;                               // ms of source heard when each word was written
  double source_ms = 0;
  std::vector<Decision> decisions;                          // streamed only
};

struct EvaluationScores {
  double exact_match = 0, bleu = 0;                         // percent; sacreBLEU corpus score
  double al = 0, laal = 0, ap = 0, dal = 0, atd = 0;        // ms (AP: a ratio), as in SimulEval
  double unit_too_early = 0, hour_guessed = 0;              // percent of the occasions below
  double source_ms = 0;                                     // mean duration of the utterances
  int64_t units = 0, hours = 0;
  std::string bleu_signature;
};

struct EvaluationOptions {
  StreamOptions stream;
  bool offline = false;                                     // greedy on the whole utterance, every delay is the utterance's length
  int64_t batch = 16, limit = 0;                            // limit: only the first utterances; 0: all
};

/// What has been heard when `states` encoder states are known: their span, and what the last analysis window reaches over it.
double heard_ms(const S2TConfig& config, int64_t states, double source_ms);

/// The data directory that a run was trained on.
std::string data_of_run(const std::string& run);

std::vector<Instance> decode(S2TTransformer& model, Context& context, const SpeechDataset& data, const Vocabulary& target, const EvaluationOptions& options);
EvaluationScores score(const std::vector<Instance>& instances, const SpeechDataset& data);

/// Writes SimulEval's instances.log and config.yaml, hypotheses and scores.json into a folder; `simuleval --score-only` reads it.
void write_evaluation(const std::string& folder, const std::vector<Instance>& instances, const EvaluationScores& scores, const EvaluationOptions& options);

}  // namespace alinea
