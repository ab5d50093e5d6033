// alinea explain: what it is asked for.
#pragma once
#include <string>

#include "apps/common.h"

namespace alinea {

struct ExplainOptions {
  CommonOptions common;
  std::string subject, family;
  std::string text, target_text, source_language, target_language;   // of explain tokens
  int64_t batch = 8, frames = 400, source_tokens = 20, tokens = 20;
};

/// The registry of attention families, or the one named, with its cost for the sizes of --set.
int explain_attention(const ExplainOptions& o);
/// Encoder input, decoder input and labels of a text, side by side.
int explain_tokens(const ExplainOptions& o);

}  // namespace alinea
