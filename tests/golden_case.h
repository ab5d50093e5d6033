// A reference case made with Hugging Face's transformers (tests/golden/hf/NAME): a model directory with inputs.safetensors,
// expected.safetensors and case.json, which holds the rule of comparison. Attention masks of the wave are kept as sample_lengths.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "models/hub/safetensors.h"
#include "nn/module.h"
#include "tests/golden.h"

namespace alinea {

class GoldenCase {
 public:
  explicit GoldenCase(const std::string& name)
      : directory_(golden("hf/" + name)), inputs_(directory_ / "inputs.safetensors"), expected_(directory_ / "expected.safetensors"),
        settings_(nlohmann::json::parse(std::ifstream(directory_ / "case.json"))) {}

  const std::filesystem::path& directory() const { return directory_; }
  std::string file(const std::string& name) const { return (directory_ / name).string(); }
  const nlohmann::json& settings() const { return settings_; }
  bool has(const std::string& name) const { return expected_.has(name); }
  Tensor input(const std::string& name) const { return inputs_.load(name, Context::cpu()); }
  /// An integer input as host values: lengths, ids.
  std::vector<int32_t> lengths(const std::string& name) const { return input(name).values<int32_t>(); }
  Tensor expected(const std::string& name) const { return expected_.load(name, Context::cpu()); }

  /// The case's rule: max|got − want| ≤ atol + rtol · max|want| over the finite entries, infinities and NaNs in the same places, integers equal.
  void check(const std::string& name, const Tensor& got) const {
    INFO(directory_.filename().string() << ": " << name);
    REQUIRE(got);
    const Tensor want = expected(name);
    CHECK(got.shape().str() == want.shape().str());
    compare(name, got.values<double>(), want.values<double>(), want.dtype() == DType::f32);
  }
  void check(const std::string& name, const std::vector<int32_t>& got) const { check(name, Context::cpu().from(got.data(), {int64_t(got.size())})); }
  void check(const std::string& name, double got) const { check(name, Context::cpu().from(&got, {})); }

  /// GRAD_l2, the norms of all gradients in the order of param_order, and every single gradient under GRAD.NAME, where GRAD says which loss.
  /// A parameter that the loss does not reach has a gradient of zero.
  void check_gradients(Module& module, const std::string& grad = "grad") const {
    std::map<std::string, Tensor> gradients;
    module.visit("", [&](const std::string& name, Parameter& p) { if (!p.fixed) gradients[name] = p.grad ? p.grad : p.value.context().zeros(p.value.shape(), p.value.dtype()); });
    std::vector<double> norms;
    for (const std::string name : settings_.at("param_order")) {
      INFO(name);
      REQUIRE(gradients.contains(name));
      double square = 0;
      for (const double d : gradients[name].values<double>()) square += d * d;
      norms.push_back(std::sqrt(square));
      if (has(grad + "." + name)) check(grad + "." + name, gradients[name]);
    }
    CHECK(norms.size() == gradients.size());
    check(grad + "_l2", Context::cpu().from(norms.data(), {int64_t(norms.size())}));
  }

 private:
  void compare(const std::string& name, const std::vector<double>& got, const std::vector<double>& want, bool real) const {
    REQUIRE(got.size() == want.size());
    const auto& rule = settings_.at("tolerance").at(name.find("grad") == std::string::npos ? "forward" : "grad");
    double largest = 0, worst = 0;
    size_t at = 0;
    bool same_places = true;
    for (size_t i = 0; i < want.size(); ++i) {
      if (!std::isfinite(want[i])) {
        same_places &= std::isnan(want[i]) ? std::isnan(got[i]) : got[i] == want[i];
        continue;
      }
      same_places &= std::isfinite(got[i]);
      largest = std::max(largest, std::abs(want[i]));
      if (std::abs(got[i] - want[i]) > worst) worst = std::abs(got[i] - want[i]), at = i;
    }
    const double allowed = real ? rule.at("atol").get<double>() + rule.at("rtol").get<double>() * largest : 0;
    INFO("largest difference at element " << at << ": " << (got.empty() ? 0 : got[at]) << " instead of " << (want.empty() ? 0 : want[at]));
    CHECK(same_places);
    CHECK(worst <= allowed);
  }

  std::filesystem::path directory_;
  SafetensorsFile inputs_, expected_;
  nlohmann::json settings_;
};

}  // namespace alinea
