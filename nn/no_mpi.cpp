// Stands in for processes_mpi.cpp in builds without MPI.
#include <cstdlib>
#include <string>

#include "engine/core/error.h"
#include "nn/processes.h"

namespace alinea {

namespace {

class Alone final : public Processes {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  void start_sum(std::span<float>) override {}
  void finish() override {}
  void sum(std::span<double>) override {}
  void broadcast(std::span<double>) override {}
  void barrier() override {}
  void abort(int) override {}
};

}  // namespace

Processes& Processes::world() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MPI_LOCALNRANKS"}) {
    const char* size = std::getenv(name);
    if (size && std::string(size) != "1")
      fail(Exit::device, "processes: {} were started, but this build has no MPI, so each would train alone; install libopenmpi-dev and run: meson configure build -Dmpi=enabled && ninja -C build", size);
  }
  static Alone alone;
  return alone;
}

}  // namespace alinea
