// A recorded case: inputs.safetensors, expected.safetensors, and case.json with the tolerance and the generation settings. Each expected
// tensor names what has to be computed: a plain output, or one of a run that differs (without the mask, another loss, smoothed, generated).
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "apps/forward_model.h"

namespace alinea {

struct ComparedTensor {
  std::string name;
  double worst = 0, tolerance = 0;                          // max |got − want|, atol + rtol · max |want|
  bool ok = false;
  std::string complaint;                                    // why not ok
};

/// One row per expected tensor, in the file's order. context: where the model lies.
std::vector<ComparedTensor> compare_case(ForwardModel& model, Context& context, const std::filesystem::path& folder);

/// The rule: integers exactly; floats max |got − want| ≤ atol + rtol · max |want| over the finite entries, inf and NaN in the same places.
ComparedTensor compare_tensor(const std::string& name, const Tensor& got, const Tensor& want, double atol, double rtol);

}  // namespace alinea
