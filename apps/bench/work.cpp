#include "apps/bench/work.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <memory>

#include "engine/core/parallel.h"
#include "engine/core/random.h"

namespace alinea {

namespace {

constexpr RandomKey values_key{1};

// Axes in the order of memory, so that the gradient has the output's own layout: attention ops return permuted views.
Tensor gradient_like(const Tensor& y) {
  constexpr uint64_t stream = 1000;
  if (y.rank() == 0) return y.context().full({}, y.dtype(), 1);
  if (y.contiguous()) return normals(y.context(), y.shape(), stream);
  const Shape& s = y.shape();
  require(s.rank == 4, "bench: an output of shape {} that is not contiguous", s);
  return normals(y.context(), {s[0], s[2], s[1], s[3]}, stream).permute({0, 2, 1, 3});
}

std::vector<Variable> constants(const std::vector<Tensor>& inputs) { return {inputs.begin(), inputs.end()}; }

struct Sample {
  double wall, cpu;  // milliseconds a call
};

Sample sample(Context& context, const Step& step, int calls) {
  using Clock = std::chrono::steady_clock;
  const auto processor = [] {
    timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * double(t.tv_sec) + 1e-6 * double(t.tv_nsec);
  };
  const double cpu = processor();
  const auto begin = Clock::now();
  for (int i = 0; i < calls; ++i) step();
  context.synchronize();
  return {std::chrono::duration<double, std::milli>(Clock::now() - begin).count() / calls, (processor() - cpu) / calls};
}

}  // namespace

std::vector<Work> all_works() {
  std::vector<Work> all;
  for (auto* const group : {ops_works, attention_works, emma_works, train_works, model_works, decode_works})
    for (Work& w : group()) all.push_back(std::move(w));
  return all;
}

Tensor normals(Context& context, const Shape& shape, uint64_t stream, double deviation) {
  constexpr int64_t block = 1 << 14;
  std::vector<float> v(size_t(shape.count()));
  const int64_t n = shape.count();
  parallel_for((n + block - 1) / block, 1, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      Draw draw(values_key.child(stream).child(uint64_t(b)));
      for (int64_t i = b * block; i < std::min(n, (b + 1) * block); ++i) v[size_t(i)] = float(deviation * draw.normal());
    }
  });
  return context.from(v.data(), shape);
}

Tensor random_ids(Context& context, const Shape& shape, int64_t low, int64_t high, uint64_t stream) {
  std::vector<int64_t> v(size_t(shape.count()));
  Draw draw(values_key.child("ids").child(stream));
  for (int64_t& x : v) x = draw.integer(low, high - 1);
  return context.from(v.data(), shape);
}

Step forward_step(Function f, std::vector<Tensor> inputs) {
  return [f = std::move(f), inputs = constants(inputs)] { f(inputs); };
}

Step backward_step(Function f, std::vector<Tensor> inputs) {
  auto gradient = std::make_shared<Tensor>();
  return [f = std::move(f), inputs = std::move(inputs), gradient] {
    Tape tape;
    std::vector<Variable> watched;
    for (const Tensor& t : inputs) watched.push_back(tape.watch(t));
    const Variable y = f(watched);
    if (!*gradient) *gradient = gradient_like(y.value());
    tape.backward(std::span(&y, 1), {*gradient});
    for (const Variable& v : watched) require(bool(tape.grad(v)), "bench: an input got no gradient");
  };
}

void add(std::vector<Work>& works, const FunctionWork& w) {
  works.push_back({.name = w.what + "/fwd/" + w.size, .shape = w.shape, .form = w.form, .cost = w.forward, .make = [w](Context& c) {
                     return forward_step(w.function(c), w.inputs(c));
                   }});
  works.push_back({.name = w.what + "/fwdbwd/" + w.size, .shape = w.shape, .form = w.form, .cost = w.both, .make = [w](Context& c) {
                     return backward_step(w.function(c), w.inputs(c));
                   }});
}

Measurement measure(Context& context, const Step& step, double seconds) {
  using Clock = std::chrono::steady_clock;
  context.reset_peak();
  double estimate = sample(context, step, 1).wall;
  if (estimate < 1000) estimate = std::min(sample(context, step, 1).wall, sample(context, step, 1).wall);
  const int calls = int(std::clamp(2.0 / std::max(estimate, 1e-3) + 1, 1.0, 2000.0));
  std::vector<double> wall;
  Measurement m{.cpu_ms = 1e300};
  for (const auto begin = Clock::now();
       wall.size() < 3 || (wall.size() < 500 && std::chrono::duration<double>(Clock::now() - begin).count() < seconds);) {
    const Sample s = sample(context, step, calls);
    wall.push_back(s.wall);
    m.cpu_ms = std::min(m.cpu_ms, s.cpu);
  }
  std::sort(wall.begin(), wall.end());
  const size_t half = wall.size() / 2;
  m.ms = wall.front();
  m.median_ms = wall.size() % 2 ? wall[half] : (wall[half - 1] + wall[half]) / 2;
  m.samples = int(wall.size());
  if (const int64_t peak = context.memory().peak; peak > 0) m.mem_mb = double(peak) / (1 << 20);
  return m;
}

}  // namespace alinea
