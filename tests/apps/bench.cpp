// The list of benchmark works and the clock.
#include <doctest/doctest.h>

#include <chrono>
#include <set>
#include <thread>

#include "apps/bench/work.h"
#include "autograd/elementwise.h"
#include "autograd/reduce.h"

using namespace alinea;

TEST_CASE("every work has a name of its own, a shape, and is either made or skipped with a reason") {
  std::set<std::string> seen;
  for (const Work& w : all_works()) {
    CAPTURE(w.name);
    CHECK(seen.insert(w.name + "@" + w.form).second);
    CHECK_FALSE(w.shape.empty());
    CHECK(bool(w.make) == w.skipped.empty());
    const std::string group = w.name.substr(0, w.name.find('/'));
    CHECK(std::set<std::string>{"ops", "attention", "emma", "train", "forward", "decode"}.count(group) == 1);
  }
  for (const char* name : {"ops/gemm/fwdbwd/2048@plain", "attention/softmax-causal/fwd/4096@tiles",
                           "emma/alpha-beta/fwdbwd/128x1024@recurrence", "train/s2t-glu@plain"})
    CHECK(seen.count(name) == 1);
}

TEST_CASE("the clock: a call is not shorter than what it sleeps, and samples go on for the time given") {
  const Measurement m = measure(
      Context::cpu(), [] { std::this_thread::sleep_for(std::chrono::milliseconds(5)); }, 0.05);
  CHECK(m.ms >= 5);
  CHECK(m.median_ms >= m.ms);
  CHECK(m.cpu_ms < m.ms);
  CHECK(m.samples >= 3);
}

TEST_CASE("memory counts the inputs and what a call holds at most") {
  constexpr int64_t n = 1 << 18;  // 1 MiB
  Context& cpu = Context::cpu();
  const Function twice = [](std::span<const Variable> x) { return sum(relu(x[0])); };
  const double before = double(cpu.memory().live) / (1 << 20);
  const Measurement forward = measure(cpu, forward_step(twice, {normals(cpu, {n}, 0)}), 0.01);
  CHECK(forward.mem_mb.value() - before == doctest::Approx(2).epsilon(0.01));
  const Measurement both = measure(cpu, backward_step(twice, {normals(cpu, {n}, 0)}), 0.01);
  CHECK(both.mem_mb.value() > forward.mem_mb.value() + 0.9);
}

TEST_CASE("values are a pure function of shape and stream") {
  Context& cpu = Context::cpu();
  const auto a = normals(cpu, {40000}, 1).values<float>(), b = normals(cpu, {40000}, 1).values<float>(),
             c = normals(cpu, {40000}, 2).values<float>();
  CHECK(a == b);
  CHECK(a != c);
}
