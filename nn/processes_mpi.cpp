// Processes by MPI. Only the main thread talks to it.
#define OMPI_SKIP_MPICXX 1                                  // the C interface alone
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <cstdlib>
#include <vector>

#include "engine/core/error.h"
#include "nn/processes.h"

namespace alinea {

namespace {

void check(int status, const char* what) {
  if (status == MPI_SUCCESS) return;
  char text[MPI_MAX_ERROR_STRING];
  int length = 0;
  MPI_Error_string(status, text, &length);
  fail(Exit::device, "processes: {}: {}", what, std::string_view(text, size_t(length)));
}

// A program that no launcher started does not wake MPI: it would look for its daemons.
bool launched() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMIX_RANK"})
    if (std::getenv(name)) return true;
  return false;
}

class MpiProcesses final : public Processes {
 public:
  MpiProcesses() {
    if (!launched()) return;
    int level = 0;
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &level), "starting MPI");
    std::atexit([] {
      int ended = 0;
      if (MPI_Finalized(&ended) == MPI_SUCCESS && !ended) MPI_Finalize();
    });
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "the rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "the number of processes");
  }
  int rank() const override { return rank_; }
  int size() const override { return size_; }

  void start_sum(std::span<float> values) override {
    if (size_ == 1) return;
    pending_.emplace_back();
    check(MPI_Iallreduce(MPI_IN_PLACE, values.data(), int(values.size()), MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &pending_.back()), "adding up");
    int done = 0;                                           // MPI moves pending messages only while it is called
    check(MPI_Testall(int(pending_.size()), pending_.data(), &done, MPI_STATUSES_IGNORE), "adding up");
    if (done) pending_.clear();
  }
  void finish() override {
    if (pending_.empty()) return;
    check(MPI_Waitall(int(pending_.size()), pending_.data(), MPI_STATUSES_IGNORE), "adding up");
    pending_.clear();
  }
  void sum(std::span<double> values) override {
    if (size_ > 1) check(MPI_Allreduce(MPI_IN_PLACE, values.data(), int(values.size()), MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD), "adding up");
  }
  void broadcast(std::span<double> values) override {
    if (size_ > 1) check(MPI_Bcast(values.data(), int(values.size()), MPI_DOUBLE, 0, MPI_COMM_WORLD), "telling the others");
  }
  void barrier() override {
    if (size_ > 1) check(MPI_Barrier(MPI_COMM_WORLD), "waiting for the others");
  }
  void abort(int exit_code) override {
    if (size_ > 1) MPI_Abort(MPI_COMM_WORLD, exit_code);
  }

 private:
  int rank_ = 0, size_ = 1;
  std::vector<MPI_Request> pending_;
};

}  // namespace

Processes& Processes::world() {
  static auto* processes = new MpiProcesses;                // never destroyed: MPI ends at exit
  return *processes;
}

}  // namespace alinea
