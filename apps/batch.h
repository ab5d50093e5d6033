// From plain host batches to the tensors of a training step.
#pragma once
#include "data/dataset.h"
#include "models/s2t_transformer.h"

namespace alinea {

/// Targets become decoder inputs (start + tokens) and labels (tokens + end), short ones filled with pad and -100.
S2TBatch to_device(const HostBatch& host, Context& context, const S2TConfig& config);

}  // namespace alinea
