// One interface for every attention family. A family turns queries, keys and values of all heads into contexts; the projections around
// it belong to MultiHeadAttention. Training runs forward(); decoding runs begin/append/step on a state, whose rows equal those of forward
// (for monotonic families: given the write times, because training averages over write times while decoding attends to what has been read).
#pragma once
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "engine/core/config.h"
#include "engine/core/mask.h"
#include "engine/ops/linear_attention.h"
#include "nn/layers.h"

namespace alinea {

struct AttentionInput {
  Variable q, k, v;                                         // q [B,H,T,D]  k [B,H,S,D]  v [B,H,S,D], any strides with D contiguous
  Mask mask;
  Extents extents;                                          // cosFormer: lengths that positions are measured against; empty: the mask's
  Tensor rarity;                                            // structured: how rare each source column's token is [B,S], −inf: never a column
  Tensor tokens;                                            // structured: ids i64 [B,S] of the source columns, for once_per_token
  Variable policy;                                          // monotonic: logits z [B, 1 or H, T, ceil(S/pooling)], before the sigmoid
  int64_t pooling = 1;                                      // monotonic: source columns per decision
  double dropout = 0;
  Pass pass;
};

struct AttentionOutput {
  Variable context;                                         // [B,H,T,D]
  Variable alignment;                                       // alpha [B, 1 or H, T, ceil(S/pooling)] of monotonic families, none otherwise
};

/// What a decoder's memory is told at its start.
struct DecodeStart {
  int64_t batch = 1, capacity = 1;                          // items; columns that will ever be appended, at most
  std::vector<int32_t> lengths;                             // how many of the appended columns are real per item (empty: all)
  Extents extents;                                          // cosFormer: one value per item on each side
  /// Item i becomes what item items[i] was.
  void select(std::span<const int32_t> items) {
    const auto take = [&](auto& values) {
      if (values.empty()) return;
      auto old = std::move(values);
      values.clear();
      for (const int32_t i : items) values.push_back(old[size_t(i)]);
    };
    batch = int64_t(items.size());
    take(lengths), take(extents.source), take(extents.target);
  }
};

/// Further columns: k, v [B,H,n,D] and, for structured families that choose columns, their tokens' rarity [B,n].
struct Columns {
  Tensor k, v, rarity;
};

/// What a decoder remembers of keys and values. Not copyable; one per layer and batch.
class AttentionState {
 public:
  virtual ~AttentionState() = default;
  virtual void append(const Columns& columns) = 0;
  /// Forgets what the last append added (a row that is computed again after more source was read).
  virtual void undo() = 0;
  /// From now on there are items.size() items, at most as many as at the start, and item i continues what item items[i] remembered.
  virtual void reorder(std::span<const int32_t> items) = 0;
  virtual int64_t bytes() const = 0;
};

/// Of one forward and backward pass, and of a decoder's memory after T rows (self) or S columns (cross). A multiplication and an addition are two.
struct Cost {
  double flops = 0, saved_bytes = 0, state_bytes = 0;
};
struct AttentionSizes {
  int64_t B = 1, H = 1, T = 1, S = 1, D = 1;
};

class Attention : public Module {
 public:
  virtual AttentionOutput forward(const AttentionInput& in) = 0;
  virtual std::unique_ptr<AttentionState> begin(Context& context, const DecodeStart& start) = 0;
  /// q [R,H,T,D], rows first_row …: every row sees all columns appended so far -> [R,H,T,D]. R is a multiple of the state's items: the rows
  /// of one item follow one another, as beams that share one source.
  virtual Tensor step(AttentionState& state, const Tensor& q, int64_t first_row) = 0;
  /// [B,H,T,S]: quadratic, for plots and analysis only.
  virtual Tensor weights(const AttentionInput& in) = 0;
  virtual Cost cost(const AttentionSizes& sizes) const = 0;
  /// Decoding needs to know how long the target will be.
  virtual bool needs_target_length() const { return false; }
  void visit(const std::string&, const Visitor&) override {}   // families without parameters
};

/// Where an attention works.
struct AttentionRole {
  int64_t heads = 1, width = 1;                             // width: D
  bool self = true;                                         // queries and keys are positions of one sequence
  Mask::Rule rule = Mask::Rule::all;                        // the mask that it will meet
  RandomKey key;                                            // of its own parameters
};

/// One row of the registry: everything the rest of the program knows of a family.
struct AttentionFamily {
  std::string_view name, definition, cost_formula, source;
  std::vector<std::string_view> variants;                   // options as JSON that together show every form; the first is the default. Tests run them all
  bool (*honours)(const Mask&);                             // a mask that a family cannot honour is refused by name
  bool needs_policy = false;
  bool self_only = false;                                   // needs queries and keys from one sequence
  std::vector<Config::Field> (*options)();
  std::unique_ptr<Attention> (*make)(Context&, Config options, const AttentionRole&);
};

std::span<const AttentionFamily> attention_families();
/// Unknown names are an error that lists the known ones.
const AttentionFamily& attention_family(std::string_view name);

/// A family with its options, as configuration writes it: "linear" or {"name": "linear", "feature_map": "elu"}.
struct AttentionSpec {
  std::string name = "softmax";
  std::string options = "{}";                               // JSON object
};

/// A family made for a role. What it cannot honour is refused here, by name; masks and inputs are checked again before each forward.
class ChosenAttention {
 public:
  ChosenAttention() = default;
  ChosenAttention(Context& context, const AttentionSpec& spec, const AttentionRole& role);
  AttentionOutput forward(const AttentionInput& in) const;
  Attention& operator*() const { return *attention_; }
  Attention* operator->() const { return attention_.get(); }
  const AttentionFamily& family() const { return *family_; }

 private:
  const AttentionFamily* family_ = nullptr;
  std::unique_ptr<Attention> attention_;
};

// The rows, one per file of this folder.
extern const AttentionFamily softmax_family, linear_family, monotonic_family, structured_family, literal_family;

}  // namespace alinea
