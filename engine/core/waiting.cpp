#include "engine/core/waiting.h"

#include <unistd.h>

#include <cstdlib>

namespace alinea {

void spin_briefly(char** argv) {
  if (std::getenv("OMP_WAIT_POLICY") || std::getenv("GOMP_SPINCOUNT")) return;
  setenv("GOMP_SPINCOUNT", "500", 1);
  execv("/proc/self/exe", argv);                            // comes back only when it fails; then the default stays
}

}  // namespace alinea
