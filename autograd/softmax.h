// Tape wrappers of softmax and log-softmax over the last axis.
#pragma once
#include "autograd/tape.h"
#include "engine/ops/softmax.h"

namespace alinea {

inline Variable softmax(const Variable& x) { return Tape::apply(Softmax{}, "softmax", x); }
inline Variable log_softmax(const Variable& x) { return Tape::apply(LogSoftmax{}, "log_softmax", x); }

}  // namespace alinea
