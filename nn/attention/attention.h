// One interface for every attention family. A family turns queries, keys and values of all heads into contexts; the projections around
// it belong to MultiHeadAttention. Training runs forward(); decoding runs begin/append/step on a state, whose rows equal those of forward
// (for EMMA: given the write times, because training averages over write times while decoding attends to what has been read).
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "engine/core/config.h"
#include "engine/core/mask.h"
#include "nn/layers.h"

namespace alinea {

struct AttentionInput {
  Variable q, k, v;                                         // q [B,H,T,D]  k [B,H,S,D]  v [B,H,S,D], any strides with D contiguous
  Mask mask;
  Variable policy;                                          // monotonic: logits z [B, 1 or H, T, ceil(S/pooling)], before the sigmoid
  int64_t pooling = 1;                                      // monotonic: source columns per decision
  double dropout = 0;
  Pass pass;
};

struct AttentionOutput {
  Variable context;                                         // [B,H,T,D]
  Variable alignment;                                       // alpha [B, 1 or H, T, ceil(S/pooling)] of monotonic families, none otherwise
};

/// What a decoder remembers of keys and values. Not copyable; one per layer and batch.
class AttentionState {
 public:
  virtual ~AttentionState() = default;
  /// k, v [B,H,n,D]: n further columns.
  virtual void append(const Tensor& k, const Tensor& v) = 0;
  /// Forgets what the last append added (a row that is computed again after more source was read).
  virtual void undo() = 0;
  /// Item b continues what item beams[b] remembered.
  virtual void reorder(std::span<const int32_t> beams) = 0;
  virtual int64_t bytes() const = 0;
};

class Attention : public Module {
 public:
  virtual AttentionOutput forward(const AttentionInput& in) = 0;
  /// A state with room for `capacity` columns. lengths: how many of the appended columns are real per item (empty: all).
  virtual std::unique_ptr<AttentionState> begin(Context& context, int64_t batch, int64_t capacity, std::vector<int32_t> lengths = {}) = 0;
  /// q [B,H,T,D]: every row sees all columns appended so far -> [B,H,T,D].
  virtual Tensor step(AttentionState& state, const Tensor& q) = 0;
  /// [B,H,T,S]: quadratic, for plots and analysis only.
  virtual Tensor weights(const AttentionInput& in) = 0;
  void visit(const std::string&, const Visitor&) override {}   // families without parameters
};

struct AttentionShape {
  int64_t heads = 1, width = 1;                             // width: D
  bool self = true;
};

/// Of one forward and backward pass, and of a decoder's memory.
struct Cost {
  double flops = 0, saved_bytes = 0, state_bytes = 0;
};

/// One row of the registry: everything the rest of the program knows of a family.
struct AttentionFamily {
  std::string_view name, definition, source;
  bool (*honours)(const Mask&);                             // a mask that a family cannot honour is refused by name
  bool needs_policy = false;
  Cost (*cost)(int64_t B, int64_t H, int64_t T, int64_t S, int64_t D);
  std::unique_ptr<Attention> (*make)(Context&, Config options, AttentionShape);
};

std::span<const AttentionFamily> attention_families();
/// Unknown names are an error that lists the known ones.
const AttentionFamily& attention_family(std::string_view name);

/// A family chosen by configuration: a name, or {"name": …, options}. Checks masks and inputs before each forward.
class ChosenAttention {
 public:
  ChosenAttention() = default;
  ChosenAttention(Context& context, std::string_view name, Config options, AttentionShape shape);
  AttentionOutput forward(const AttentionInput& in) const;
  Attention& operator*() const { return *attention_; }
  Attention* operator->() const { return attention_.get(); }
  const AttentionFamily& family() const { return *family_; }

 private:
  const AttentionFamily* family_ = nullptr;
  std::unique_ptr<Attention> attention_;
};

// The rows, one per file of this folder.
extern const AttentionFamily softmax_family, linear_family, emma_family;

}  // namespace alinea
