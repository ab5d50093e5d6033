#include "models/simultaneous.h"

namespace alinea {

SimultaneousDecoder::SimultaneousDecoder(S2TTransformer& model, const StreamOptions& options, int64_t state_capacity)
    : model_(model), options_(options), capacity_(state_capacity), state_(fresh()) {
  require(options.reduce == "min" || options.reduce == "mean" || options.reduce == "median", "stream: reduce '{}' is not min, mean or median", options.reduce);
  require(options.policy != StreamOptions::Policy::emma || model.config().has_policy,
          "stream: this model has no EMMA policy; choose --policy offline or waitk:K, or fine-tune it with stage emma");
}

// The length of a target whose source is not known to its end cannot be foretold, so families that need it refuse here.
TextDecoder::State SimultaneousDecoder::fresh() const { return model_.decoder().begin(1, options_.max_tokens + 1, capacity_); }

bool SimultaneousDecoder::allows(Decision& d) const {
  switch (options_.policy) {
    case StreamOptions::Policy::offline: return false;
    case StreamOptions::Policy::waitk: return d.states_read >= (d.index + options_.wait_k) * options_.ratio;
    case StreamOptions::Policy::emma: break;
  }
  std::vector<double> p;
  double sum = 0;
  for (const PolicyVote& v : d.votes) {
    p.push_back(v.p);
    sum += v.p;
    if (v.p < d.slowest.p || p.size() == 1) d.slowest = v;
  }
  std::sort(p.begin(), p.end());
  d.p = options_.reduce == "min" ? p.front() : options_.reduce == "mean" ? sum / double(p.size()) : p[(p.size() - 1) / 2];
  return d.p >= options_.threshold;
}

Decision SimultaneousDecoder::decide() {
  Decision d{.index = int64_t(tokens_.size()), .states_read = read_};
  const S2TConfig& config = model_.config();
  const bool ask = options_.policy == StreamOptions::Policy::emma;
  if (options_.recompute) {
    state_ = fresh();
    for (const Tensor& m : memory_) model_.decoder().read(state_, m);
  }
  int64_t id = config.bos_token;
  Tensor logits;
  for (size_t i = options_.recompute ? 0 : tokens_.size(); i <= tokens_.size(); ++i) {
    id = i == 0 ? config.bos_token : tokens_[i - 1];
    logits = model_.decoder().step(state_, Context::cpu().from(&id, {1}), ask && i == tokens_.size() ? &d.votes : nullptr);
  }
  const auto v = logits.values<float>();
  d.token = int32_t(std::max_element(v.begin(), v.end()) - v.begin());
  d.forced = finished_;
  const bool allowed = allows(d);
  d.write = finished_ || (allowed && d.token != config.eos_token);   // an end token before the end of the source is a read
  if (!d.write && !options_.recompute) model_.decoder().undo(state_);
  return d;
}

std::vector<Decision> SimultaneousDecoder::run() {
  std::vector<Decision> decisions;
  const int64_t first_wait = options_.policy == StreamOptions::Policy::waitk ? options_.wait_k * options_.ratio : 0;
  while (!ended_) {
    if (!finished_ && read_ < first_wait + int64_t(tokens_.size()) * options_.ratio && first_wait > 0) break;   // wait-k needs no look at the model to read on
    Decision d = decide();
    const bool end = d.write && (d.token == model_.config().eos_token || int64_t(tokens_.size()) >= options_.max_tokens);
    if (end) {
      ended_ = true;
      break;
    }
    decisions.push_back(d);
    if (!d.write) break;
    tokens_.push_back(d.token);
    if (!finished_ && int64_t(tokens_.size()) >= options_.max_tokens) break;
  }
  return decisions;
}

void SimultaneousDecoder::read(const Tensor& states) {
  require(!finished_, "stream: more source after finish()");
  read_ += states.size(1);
  require(read_ <= capacity_, "stream: the source has more than {} states; raise the capacity", capacity_);
  if (options_.recompute) memory_.push_back(states);
  else model_.decoder().read(state_, states);
}

std::vector<Decision> SimultaneousDecoder::push(const Tensor& states) {
  read(states);
  if (options_.policy == StreamOptions::Policy::offline || int64_t(tokens_.size()) >= options_.max_tokens) return {};
  return run();
}

std::vector<Decision> SimultaneousDecoder::finish() {
  finished_ = true;
  if (read_ == 0) ended_ = true;                            // nothing was heard, nothing is said
  return run();
}

}  // namespace alinea
