// How a decoder's output is searched for. Names, defaults and meanings are those of Hugging Face's GenerationConfig, so that a model's
// generation_config.json is read as it is.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "engine/core/config.h"

namespace alinea {

/// When a sentence's beam search ends, once num_beams hypotheses have ended: `no` when the best one that goes on would not beat the worst of
/// them if it ended now, `yes` at once, `never` only when it could not beat it at any length.
enum class EarlyStopping { no, yes, never };

struct GenerationConfig {
  int64_t num_beams = 1, num_return_sequences = 1;
  std::optional<int64_t> max_length = 20, max_new_tokens;   // the second stands over the first
  int64_t min_length = 0;
  std::optional<int64_t> min_new_tokens;
  double length_penalty = 1;
  EarlyStopping early_stopping = EarlyStopping::no;
  int64_t no_repeat_ngram_size = 0;
  double repetition_penalty = 1;
  bool do_sample = false;
  std::optional<int64_t> decoder_start_token_id, pad_token_id, forced_bos_token_id;
  std::vector<int64_t> eos_token_id, forced_eos_token_id;   // several: the forced ones are equally likely

  void fields(Config& c);
  void check() const;

  /// "num_beams=5,early_stopping=never,eos_token_id=2+7,forced_eos_token_id=none": a list is joined with +, none goes back to the default.
  void assign(std::string_view settings);

  /// Tokens of the longest and the shortest allowed sequence, the start token included.
  int64_t longest() const;
  int64_t shortest() const;
  /// Fills in what is not set: a model's own tokens.
  GenerationConfig with_tokens(int64_t start, int64_t eos, int64_t pad) const;
};

}  // namespace alinea
