// SIGINT and SIGTERM ask the program to save and stop; a second one of the same kind ends it at once.
#pragma once
#include <array>
#include <csignal>

namespace alinea {

/// While one of these exists (one at a time, made in main), the first SIGINT or SIGTERM only sets a flag: the training loop looks at it
/// between steps, saves and returns exit_code(). The old handlers come back with the destructor.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  bool received() const;
  const char* name() const;  // "SIGINT", "SIGTERM" or ""
  int exit_code() const;     // 130 after SIGINT, 143 after SIGTERM, else 0

 private:
  std::array<struct sigaction, 2> before_;
};

}  // namespace alinea
