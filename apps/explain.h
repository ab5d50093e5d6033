// alinea explain: what it is asked for.
#pragma once
#include <string>

#include "apps/common.h"

namespace alinea {

struct ExplainOptions {
  CommonOptions common;
  std::string subject, family;
  int64_t batch = 8, frames = 400, source_tokens = 20, tokens = 20;
};

/// The registry of attention families, or the one named, with its cost for the sizes of --set.
int explain_attention(const ExplainOptions& o);

}  // namespace alinea
