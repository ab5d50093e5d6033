#include "nn/gradient_exchange.h"

namespace alinea {

GradientExchange::GradientExchange(FlatParameters& parameters, Processes& processes, int64_t bucket) : parameters_(parameters), processes_(processes) {
  require(bucket > 0, "gradient exchange: a bucket of {} bytes", bucket);
  if (processes.size() > 1 && parameters.grads.context().device() != Device::cpu)
    fail(Exit::device, "processes: gradients on {} cannot be added up over {} processes in this version; train on the CPU, or with one process", parameters.grads.context().name(), processes.size());
  for (const auto& entry : parameters.entries) {
    if (buckets_.empty() || (entry.begin - buckets_.back().begin) * int64_t(sizeof(float)) >= bucket) {
      if (!buckets_.empty()) buckets_.back().end = entry.begin;
      buckets_.push_back({.begin = entry.begin});
    }
    ++buckets_.back().parameters;
    bucket_of_[entry.parameter] = buckets_.size() - 1;
  }
  buckets_.back().end = parameters.count();
  left_ = buckets_.size();
}

void GradientExchange::listen(Tape& tape) {
  if (processes_.size() == 1) return;
  for (Bucket& b : buckets_) b.waiting = b.parameters;
  for (const auto& entry : parameters_.entries)
    if (tape.leaves_out(*entry.parameter)) final(*entry.parameter);
  tape.when_final([this](const Parameter& p) { final(p); });
}

void GradientExchange::final(const Parameter& parameter) {
  --buckets_[bucket_of_.at(&parameter)].waiting;
  start_ready();
}

void GradientExchange::start_ready() {
  while (left_ > 0 && buckets_[left_ - 1].waiting == 0) {
    const Bucket& b = buckets_[--left_];
    processes_.start_sum({parameters_.grads.data<float>() + b.begin, size_t(b.end - b.begin)});
  }
}

void GradientExchange::finish() {
  if (processes_.size() == 1) return;
  for (Bucket& b : buckets_) b.waiting = 0;
  start_ready();
  processes_.finish();
  left_ = buckets_.size();
}

}  // namespace alinea
