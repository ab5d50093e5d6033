// Attention scores to analyse, as plain numbers: of a trained run, taken before dropout while it reads its data with the reference as the
// target (teacher forcing), or of a safetensors file.
#pragma once
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/context.h"
#include "nn/analysis/scores.h"

namespace alinea {

/// What the rows and columns of one sentence's matrices stand for. Names and rarity are empty where they are not known.
struct SentencePositions {
  std::string id;
  std::vector<std::string> rows, columns;
  std::vector<double> rarity;                               // of each column's token: inverse document frequency, −inf: special
};

struct HeadScores {
  std::string name, family;                                 // "layer 1, head 2"; the attention family, of a file none
  int64_t layer = 0, head = 0;                              // from 1; of a file layer 0
  std::vector<std::shared_ptr<const SentencePositions>> positions;
  std::vector<Scores> scores;                               // one per sentence
};

struct ScoreSet {
  std::string source, block;                                // "runs/text, 50 sentences of test"; encoder_self, …, or the file
  std::vector<HeadScores> heads;
  Diagonal diagonal = Diagonal::index;
};

/// Which scores of a run. Block names are those of model.attention.
struct RunScores {
  std::string run, data, split = "test", block = "encoder_self", source;   // source: one sentence or sound file instead of a split
  int64_t limit = 50, layer = 0, head = 0;                  // limit 0: all; layer and head from 1; 0: all
  bool last = false;                                        // the newest checkpoint instead of the best
  Diagonal diagonal = Diagonal::index;
};

/// Padding is cut off. EMMA's cross attention is its expected attention (beta); wait-k models attend to the whole source. With `source` the
/// target is the model's own greedy translation. Errors: usage for a layer, head or block that is not there and for families whose scores are
/// no weights (`literal` with a residual); data for runs, data and scores that are damaged.
ScoreSet run_scores(Context& context, const RunScores& which);

/// Which scores of a file.
struct FileScores {
  std::filesystem::path file;
  std::string tensor;                                       // empty: all that hold floating point numbers
  int64_t head = 0;
  Diagonal diagonal = Diagonal::index;
};

/// Tensors [T, S], [H, T, S] or [B, H, T, S]. Integer tensors [B] called target_lengths and source_lengths, or lengths for both, say how many
/// rows and columns of each sentence are real. Errors: usage for an unknown tensor or head, data for everything that the file holds.
ScoreSet file_scores(const FileScores& which);

}  // namespace alinea
