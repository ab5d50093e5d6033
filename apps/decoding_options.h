// How eval and translate decode: the options of both kinds of model, and what they mean for each.
#pragma once
#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "apps/common.h"
#include "engine/core/dtype.h"
#include "models/generation.h"
#include "models/simultaneous.h"

namespace alinea {

struct DecodingOptions {
  std::string policy = "auto";                              // each command says what auto means
  StreamOptions stream;
  int64_t max_tokens = 0;                                   // 0: what the kind of model has as default
  int64_t beam = 0;                                         // 0: the model's
  double length_penalty = 1;
  std::string generate;                                     // further settings, "early_stopping=true,no_repeat_ngram_size=3"
  std::string dtype = "fp32";                               // of matrices: fp32, or bf16 with fp32 arithmetic
  std::optional<Command> app;                               // knows which options were given

  /// `policy` is "offline", "emma" or "waitk:K".
  StreamOptions stream_options(const std::string& policy) const;
  /// What a model comes with, changed by the options that were given.
  GenerationConfig text_config(GenerationConfig config = {.max_length = 101}) const;

  DType matrices() const { return dtype == "bf16" ? DType::bf16 : DType::f32; }

  /// Errors when options were given that a model of the other kind has no use for; `more` names a command's own.
  void refuse_speech_options(std::initializer_list<const char*> more = {}) const;
  void refuse_text_options() const;
};

/// Speech: --policy with its help, --threshold, --reduce, --ratio, --recompute. Text: --beam, --length-penalty, --generate, --dtype. Both: --max-tokens.
void add_decoding(Command app, DecodingOptions& options, const std::string& policies, double& threshold);
void add_decoding(Command app, DecodingOptions& options, const std::string& policies, std::vector<double>& thresholds);

}  // namespace alinea
