#include "data/ctc/beam_search.h"

#include <algorithm>
#include <unordered_map>

#include "engine/core/error.h"

namespace alinea {
namespace {

constexpr double impossible = -std::numeric_limits<double>::infinity();

// Prefixes share their beginnings; a prefix is the number of its last label, 0 is the empty one.
class PrefixTree {
 public:
  int32_t label(int32_t prefix) const { return nodes_[size_t(prefix)].label; }
  int32_t extend(int32_t prefix, int32_t label) {
    const auto [found, added] = children_.try_emplace(int64_t(prefix) << 32 | uint32_t(label), int32_t(nodes_.size()));
    if (added) nodes_.push_back({prefix, label});
    return found->second;
  }
  std::vector<int32_t> labels(int32_t prefix) const {
    std::vector<int32_t> all;
    for (; prefix != 0; prefix = nodes_[size_t(prefix)].parent) all.push_back(label(prefix));
    return {all.rbegin(), all.rend()};
  }

 private:
  struct Node {
    int32_t parent, label;
  };
  std::vector<Node> nodes_{{-1, -1}};
  std::unordered_map<int64_t, int32_t> children_;
};

struct Prefix {
  int32_t id = 0;
  double in_blank = impossible, in_label = impossible;
  double total() const { return log_add(in_blank, in_label); }
};

// The prefixes after a frame; each is found again by its number.
class Prefixes {
 public:
  Prefix& operator[](int32_t id) {
    const auto [found, added] = places_.try_emplace(id, all_.size());
    if (added) all_.push_back({.id = id});
    return all_[found->second];
  }
  // The best ones, the first to be found of equals.
  std::vector<Prefix> best(int64_t count) {
    const auto better = [](const Prefix& a, const Prefix& b) {
      const double x = a.total(), y = b.total();
      return x != y ? x > y : a.id < b.id;
    };
    if (count == 0 || count >= int64_t(all_.size())) return std::move(all_);
    std::nth_element(all_.begin(), all_.begin() + count, all_.end(), better);
    all_.resize(size_t(count));
    return std::move(all_);
  }

 private:
  std::vector<Prefix> all_;
  std::unordered_map<int32_t, size_t> places_;
};

std::vector<int32_t> labels_worth_trying(std::span<const double> frame, int32_t blank, double least) {
  const auto top = int32_t(std::max_element(frame.begin(), frame.end()) - frame.begin());
  std::vector<int32_t> labels;
  for (int32_t c = 0; c < int32_t(frame.size()); ++c)
    if (c != blank && (c == top || frame[size_t(c)] >= least) && frame[size_t(c)] != impossible) labels.push_back(c);
  return labels;
}

}  // namespace

std::vector<CtcHypothesis> ctc_beam_search(const CtcFrames& frames, const CtcBeamOptions& options) {
  require(options.beam >= 0 && options.best >= 1, "CTC: a beam of {} for {} sequences; expected a beam of 0 (unpruned) or more, and 1 sequence or more", options.beam,
          options.best);
  PrefixTree tree;
  std::vector<Prefix> beam{{.id = 0, .in_blank = 0}};
  for (int64_t t = 0; t < frames.frames(); ++t) {
    const auto frame = frames[t];
    const auto labels = labels_worth_trying(frame, frames.blank(), options.least_log_probability);
    Prefixes next;
    const auto add = [](double& sum, double p) { sum = log_add(sum, p); };
    for (const Prefix& p : beam) {
      const double total = p.total();
      add(next[p.id].in_blank, total + frame[size_t(frames.blank())]);
      for (const int32_t c : labels) {
        const double y = frame[size_t(c)];
        const bool repeats = p.id != 0 && c == tree.label(p.id);
        if (repeats) add(next[p.id].in_label, p.in_label + y);
        const double before = repeats ? p.in_blank : total;
        if (before != impossible) add(next[tree.extend(p.id, c)].in_label, before + y);
      }
    }
    beam = next.best(options.beam);
  }
  std::sort(beam.begin(), beam.end(), [](const Prefix& a, const Prefix& b) { return a.total() != b.total() ? a.total() > b.total() : a.id < b.id; });
  std::vector<CtcHypothesis> best;
  for (size_t i = 0; i < beam.size() && int64_t(i) < options.best; ++i) best.push_back({tree.labels(beam[i].id), beam[i].total()});
  return best;
}

}  // namespace alinea
