// A benchmark is a list of works. A work makes its inputs on a context and returns a step, which is then timed. The lists of the groups:
// ops_works.cpp, attention_works.cpp, emma_works.cpp, train_works.cpp, model_works.cpp, decode_works.cpp. Adding a work: a line there.
#pragma once
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "autograd/tape.h"

namespace alinea {

/// What is timed: one call is one unit of work. It owns its inputs.
using Step = std::function<void()>;

/// Arithmetic and least memory traffic of a call; 0: not a useful figure for this work. `read`: all of it is read, as of a decoder's weights.
struct WorkCost {
  double flops = 0, bytes = 0, read = 0;
};

struct Work {
  std::string name, shape;     // "ops/gemm/fwd/512", "[512,512] x [512,512]"
  std::string form = "plain";  // one name may have several forms: ways to compute the same
  bool exact = true;           // false: other numbers, to show what they would save
  WorkCost cost;
  std::function<Step(Context&)> make;  // none: skipped, with the reason
  std::string skipped;
  std::string dtype = "fp32";
};

std::vector<Work> ops_works();
std::vector<Work> attention_works();
std::vector<Work> emma_works();
std::vector<Work> train_works();
std::vector<Work> model_works();
std::vector<Work> decode_works();
/// Of all groups, in this order.
std::vector<Work> all_works();

/// N(0, deviation²), a pure function of (shape, stream).
Tensor normals(Context& context, const Shape& shape, uint64_t stream, double deviation = 1);
/// Whole numbers low … high - 1 as i64.
Tensor random_ids(Context& context, const Shape& shape, int64_t low, int64_t high, uint64_t stream);

using Function = std::function<Variable(std::span<const Variable>)>;
/// f without a tape, so that nothing is kept.
Step forward_step(Function f, std::vector<Tensor> inputs);
/// f on a tape, then the gradient of every input; the output's gradient is given and the same each time.
Step backward_step(Function f, std::vector<Tensor> inputs);

/// Both works of a function: "group/what/fwd/size" and "group/what/fwdbwd/size". `inputs` makes the differentiated inputs.
struct FunctionWork {
  std::string what, size, shape;  // "ops/gemm", "512"
  std::string form = "plain";
  WorkCost forward, both;
  std::function<std::vector<Tensor>(Context&)> inputs;
  std::function<Function(Context&)> function;  // may make tensors that need no gradient
};
void add(std::vector<Work>& works, const FunctionWork& w);
/// The same for a function that needs nothing from the context.
inline std::function<Function(Context&)> always(Function f) {
  return [f = std::move(f)](Context&) { return f; };
}

/// The figures of a work. Times are of one call, in milliseconds.
struct Measurement {
  double ms = 0, median_ms = 0, cpu_ms = 0;  // smallest and median wall time; smallest processor time of all threads together
  std::optional<double> mem_mb;              // largest sum of live tensors, inputs included; none: it uses no tensors
  int samples = 0;
};
/// Two calls to warm up (one when it takes above a second), then samples of at least 2 ms each until `seconds` are spent, at least 3.
Measurement measure(Context& context, const Step& step, double seconds);

}  // namespace alinea
