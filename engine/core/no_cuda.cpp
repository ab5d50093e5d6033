// Stands in for the CUDA context in builds without CUDA; with context.h the only place that knows whether it was compiled in.
#include "engine/core/context.h"
#include "engine/core/device.h"

namespace alinea {

Context& Context::cuda(int) {
  fail(Exit::device, "cuda: this build has no CUDA; install the CUDA toolkit and run: meson configure build -Dcuda=enabled && ninja -C build");
}

int cuda_device_count() { return 0; }

}  // namespace alinea
