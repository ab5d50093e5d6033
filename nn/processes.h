// The processes that train one model together, started by `mpirun -n 2 alinea train …` (or srun). Without a launcher, or in a build without
// MPI, there is one, and everything here does nothing.
#pragma once
#include <span>

namespace alinea {

class Processes {
 public:
  /// Those that this one was started with. Error{device} when a launcher started several and this build has no MPI.
  static Processes& world();
  virtual ~Processes() = default;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  bool first() const { return rank() == 0; }

  // All processes call the same in the same order. Sums are in place and give every process the same bits.
  /// Returns at once; `values` is complete after finish().
  virtual void start_sum(std::span<float> values) = 0;
  virtual void finish() = 0;
  virtual void sum(std::span<double> values) = 0;
  /// Everybody gets what the first one has.
  virtual void broadcast(std::span<double> values) = 0;
  virtual void barrier() = 0;

  /// Ends the others, too, which would wait for this one for ever; returns when there are none.
  virtual void abort(int exit_code) = 0;
};

}  // namespace alinea
