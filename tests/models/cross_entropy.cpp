#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "autograd/cross_entropy.h"
#include "models/hub/safetensors.h"
#include "tests/golden.h"

using namespace alinea;

namespace {

// "pad1.mean.eps0.1" or, beside it, "pad1.mean.eps0.1.grad".
struct Name {
  std::string problem, kind;
  double smoothing = 0;
  explicit Name(const std::string& text) : problem(text.substr(0, text.find('.'))) {
    const size_t eps = text.find(".eps");
    kind = text.substr(problem.size() + 1, eps - problem.size() - 1);
    smoothing = std::stod(text.substr(eps + 4));
  }
};

void check_close(const Tensor& got, const Tensor& want) {
  const auto a = got.values<double>(), b = want.values<double>();
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) CHECK(std::abs(a[i] - b[i]) <= 1e-5 + 1e-5 * std::abs(b[i]));
}

}  // namespace

TEST_CASE("cross entropy follows PyTorch and fairseq where all is ignored, one class is left or logits are sharp") {
  const SafetensorsFile inputs(golden("hf/cross_entropy/inputs.safetensors")), expected(golden("hf/cross_entropy/expected.safetensors"));
  int checked = 0;
  for (const auto& entry : expected.entries()) {
    const Name n(entry.name);
    if (entry.name.ends_with(".grad") || n.kind == "none") continue;
    CAPTURE(entry.name);
    Tape tape;
    const Variable logits = tape.watch(inputs.load(n.problem + ".logits", Context::cpu()));
    const Variable loss = cross_entropy(logits, inputs.load(n.problem + ".targets", Context::cpu()),
                                        {.smoothing = n.smoothing,
                                         .convention = n.kind == "fairseq_sum" ? CrossEntropy::Convention::fairseq : CrossEntropy::Convention::torch,
                                         .ignore_index = n.problem == "pad1" ? 1 : -100,
                                         .reduction = n.kind == "mean" ? Reduction::mean : Reduction::sum});
    const Tensor want = expected.load(entry.name, Context::cpu());
    if (std::isnan(want.item())) CHECK(loss.value().item() == 0);   // the mean of nothing: PyTorch's 0 / 0 would end a training
    else check_close(loss.value(), want);
    if (!expected.has(entry.name + ".grad")) continue;
    tape.backward(loss);
    check_close(tape.grad(logits), expected.load(entry.name + ".grad", Context::cpu()));
    ++checked;
  }
  CHECK(checked > 30);
}
