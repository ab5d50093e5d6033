#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <nlohmann/json.hpp>

#include "autograd/cross_entropy.h"
#include "engine/core/random.h"
#include "tests/golden.h"

using namespace alinea;

TEST_CASE("cross_entropy: losses and gradients equal PyTorch's and fairseq's, float and double") {
  const auto file = nlohmann::json::parse(std::ifstream(golden("cross_entropy.json")));
  for (const auto& c : file["cases"]) {
    CAPTURE(c["name"].get<std::string>());
    const auto logits = c["logits"].get<std::vector<double>>();
    const auto target = c["target"].get<std::vector<int64_t>>();
    const Shape shape{c["rows"].get<int64_t>(), c["classes"].get<int64_t>()};
    for (const auto& r : c["results"]) {
      CAPTURE(r["smoothing"].get<double>());
      const CrossEntropy options{.smoothing = r["smoothing"],
                                 .convention = r["convention"] == "torch" ? CrossEntropy::Convention::torch : CrossEntropy::Convention::fairseq,
                                 .ignore_index = c["ignore_index"],
                                 .reduction = r["reduction"] == "mean" ? Reduction::mean : Reduction::sum};
      for (const DType dtype : {DType::f32, DType::f64}) {
        Tape tape;
        const Variable x = tape.watch(Context::cpu().from(logits.data(), shape).to(dtype));
        const Variable loss = cross_entropy(x, Context::cpu().from(target.data(), {shape[0]}), options);
        CHECK(loss.shape() == Shape{});
        CHECK(loss.value().item() == doctest::Approx(r["loss"].get<double>()).epsilon(1e-6));
        tape.backward(loss);
        const auto got = tape.grad(x).values<double>(), want = r["gradient"].get<std::vector<double>>();
        for (size_t i = 0; i < want.size(); ++i) CHECK(std::abs(got[i] - want[i]) <= 2e-6);
      }
    }
  }
}

TEST_CASE("cross_entropy: rows longer than a piece, maximum in any piece") {
  const int64_t V = 5003;
  Draw draw(RandomKey{1});
  std::vector<float> x(size_t(3 * V));
  for (float& v : x) v = float(3 * draw.normal());
  x[10] = 60, x[size_t(V) + 2500] = 60, x[size_t(2 * V) + 5002] = 60;
  const std::vector<int32_t> target = {10, 7, 5002};
  double want = 0;
  for (int64_t r = 0; r < 3; ++r) {
    double total = 0, plain = 0;
    for (int64_t i = 0; i < V; ++i) total += std::exp(double(x[size_t(r * V + i)])), plain += x[size_t(r * V + i)];
    want += 0.9 * (std::log(total) - x[size_t(r * V + target[size_t(r)])]) + 0.1 * (std::log(total) - plain / double(V));
  }
  const CrossEntropy options{.smoothing = 0.1, .reduction = Reduction::sum};
  Context& cpu = Context::cpu();
  CHECK(options.forward(cpu.from(x.data(), {3, V}), cpu.from(target.data(), {3}), nullptr).item() == doctest::Approx(want).epsilon(1e-6));
}

TEST_CASE("cross_entropy: classes that are ruled out by -inf take no part") {
  constexpr double out = -std::numeric_limits<double>::infinity();
  const std::vector<double> x = {out, 1, 1, out};
  const std::vector<int64_t> target = {2};
  Tape tape;
  const Variable v = tape.watch(Context::cpu().from(x.data(), {1, 4}));
  const Variable loss = cross_entropy(v, Context::cpu().from(target.data(), {1}));
  CHECK(loss.value().item() == doctest::Approx(std::log(2.0)));
  tape.backward(loss);
  const auto d = tape.grad(v).values<double>();
  for (const auto& [i, want] : {std::pair<size_t, double>{0, 0}, {1, 0.5}, {2, -0.5}, {3, 0}}) CHECK(d[i] == doctest::Approx(want));
}

TEST_CASE("cross_entropy: no row that counts gives 0 and a zero gradient") {
  const std::vector<int64_t> target = {-100, -100};
  Tape tape;
  const Variable x = tape.watch(Context::cpu().full({2, 3}, DType::f32, 1));
  const Variable loss = cross_entropy(x, Context::cpu().from(target.data(), {2}), {.smoothing = 0.1});
  CHECK(loss.value().item() == 0);
  tape.backward(loss);
  CHECK(tape.grad(x).values<double>() == std::vector<double>(6, 0));
}

TEST_CASE("cross_entropy: the gradient takes the place of logits that nobody else holds, and leaves others alone") {
  const std::vector<int64_t> target = {1};
  Context& cpu = Context::cpu();
  const Tensor ids = cpu.from(target.data(), {1});
  CrossEntropy::Saved kept;
  const float* at;
  {
    const Tensor x = cpu.full({1, 2}, DType::f32, 0);
    at = x.data<float>();
    CrossEntropy{}.forward(x, ids, &kept);
  }
  CHECK(CrossEntropy{}.backward(std::move(kept), cpu.full({}, DType::f32, 1), {})[0].data<float>() == at);
  const Tensor x = cpu.full({1, 2}, DType::f32, 0);
  CrossEntropy::Saved shared;
  CrossEntropy{}.forward(x, ids, &shared);
  CHECK(CrossEntropy{}.backward(std::move(shared), cpu.full({}, DType::f32, 1), {})[0].values<double>() == std::vector<double>{0.5, -0.5});
  CHECK(x.values<double>() == std::vector<double>{0, 0});
}

TEST_CASE("cross_entropy refuses targets outside the classes and shapes that do not fit") {
  Context& cpu = Context::cpu();
  const Tensor x = cpu.zeros({2, 3}, DType::f32);
  const std::vector<int64_t> outside = {0, 3};
  try {
    CrossEntropy{}.forward(x, cpu.from(outside.data(), {2}), nullptr);
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.kind() == Exit::data);
    CHECK(std::string(e.what()).find("row 1") != std::string::npos);
  }
  CHECK_THROWS_AS(CrossEntropy{}.forward(x, cpu.zeros({3}, DType::i64), nullptr), Error);
  CHECK_THROWS_AS(CrossEntropy{.smoothing = 1}.forward(x, cpu.zeros({2}, DType::i64), nullptr), Error);
}
