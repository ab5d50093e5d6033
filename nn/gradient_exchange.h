// Adds up gradients over processes while backward still runs. Neighbouring parameters form buckets; a bucket is on its way as soon as all of its
// gradients are final. Buckets start from the last to the first whatever becomes final when, so that all processes start the same sums in
// the same order, also where their graphs differ (dropped layers).
#pragma once
#include <unordered_map>
#include <vector>

#include "autograd/tape.h"
#include "nn/module.h"
#include "nn/processes.h"

namespace alinea {

class GradientExchange {
 public:
  /// bucket: bytes, at least one parameter each. The gradients must be in the memory of this machine: Error{device} for several processes on GPUs.
  GradientExchange(FlatParameters& parameters, Processes& processes, int64_t bucket = 4 << 20);

  /// Before the last backward of a step, which runs `tape`.
  void listen(Tape& tape);
  /// After it: every process has the sums.
  void finish();
  size_t buckets() const { return buckets_.size(); }

 private:
  struct Bucket {
    int64_t begin = 0, end = 0;                             // in the flat buffer
    int64_t waiting = 0, parameters = 0;                    // not final yet, of so many
  };
  void final(const Parameter& parameter);
  void start_ready();

  FlatParameters& parameters_;
  Processes& processes_;
  std::vector<Bucket> buckets_;
  std::unordered_map<const Parameter*, size_t> bucket_of_;
  size_t left_ = 0;                                         // buckets that have not started: 0 … left_ - 1
};

}  // namespace alinea
