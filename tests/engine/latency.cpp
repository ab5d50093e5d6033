#include "engine/ops/latency.h"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/core/random.h"

using namespace alinea;

namespace {
template <class T>
Tensor tensor(const std::vector<double>& v, const Shape& shape) {
  const std::vector<T> converted(v.begin(), v.end());
  return Context::cpu().from(converted.data(), shape);
}
std::vector<double> of(const Tensor& t) { return t.values<double>(); }
}  // namespace

TEST_CASE("expected delay counts columns from 1 and stops at the length") {
  const int64_t S = 21;
  std::vector<double> alpha(size_t(2 * 2 * S), 0.0);
  alpha[4] = 1;                                             // item 0, row 0: column 5
  alpha[size_t(S)] = 0.25, alpha[size_t(S + 20)] = 0.75;    // row 1: columns 1 and 21
  alpha[size_t(2 * S + 6)] = 1;                             // item 1: within 7 columns
  alpha[size_t(3 * S + 7)] = 1;                             // and past them
  const auto d = of(ExpectedDelay{{21, 7}}.forward(tensor<float>(alpha, {2, 1, 2, S}), nullptr));
  CHECK(d == std::vector<double>{5, 16, 7, 0});
}

TEST_CASE("average lagging: values by hand") {
  // |X| = 6, |Y| = 4: rows up to the first that has everything; 2 - 0, 5 - 1.5, 6 - 3 over three rows.
  const Tensor d = tensor<double>({2, 5, 6, 6, 1, 1, 1, 6}, {1, 2, 4});
  CHECK(of(AverageLagging{{6}, {}}.forward(d, nullptr))[0] == doctest::Approx((2 + 3.5 + 3) / 3));
  CHECK(of(AverageLagging{{6}, {}, false}.forward(d, nullptr))[0] == doctest::Approx(8.5));
  CHECK(of(AverageLagging{{6}, {}}.forward(d, nullptr))[1] == doctest::Approx((1 - 0.5 - 2 + 1.5) / 4));
  // Two target rows: step 3.
  CHECK(of(AverageLagging{{6}, {2}}.forward(d, nullptr))[0] == doctest::Approx((2 + 2) / 2.0));
  // DAL: d' = 2, 5, 6.5, 8 with step 1.5; and 1, 2.5, 4, 6.
  const auto dal = of(DifferentiableAverageLagging{{6}, {}}.forward(d, nullptr));
  CHECK(dal[0] == doctest::Approx((2 + 3.5 + 3.5 + 3.5) / 4));
  CHECK(dal[1] == doctest::Approx((1 + 1 + 1 + 1.5) / 4));
  CHECK_THROWS_WITH_AS((AverageLagging{{}, {}}.forward(d, nullptr)), doctest::Contains("one per item is needed"), Error);
}

TEST_CASE("lagging of wait-k is k for both when source and target are equally long") {
  const int64_t N = 12, k = 4;
  std::vector<double> d;
  for (int64_t i = 0; i < N; ++i) d.push_back(double(std::min(i + k, N)));
  CHECK(of(AverageLagging{{int32_t(N)}, {}}.forward(tensor<double>(d, {1, 1, N}), nullptr))[0] == doctest::Approx(k));
  CHECK(of(DifferentiableAverageLagging{{int32_t(N)}, {}}.forward(tensor<double>(d, {1, 1, N}), nullptr))[0] == doctest::Approx(k));
}

TEST_CASE("variance keeps its digits far from the first column") {
  const int64_t S = 4000;
  for (const double deviation : {0.5, 2.0}) {
    std::vector<double> alpha(static_cast<size_t>(S));
    double mass = 0, mean = 0, variance = 0;
    for (int64_t j = 1; j <= S; ++j) mass += alpha[size_t(j - 1)] = std::exp(-0.5 * std::pow((double(j) - 3000) / deviation, 2));
    for (double& a : alpha) a /= mass;
    for (int64_t j = 1; j <= S; ++j) mean += double(j) * alpha[size_t(j - 1)];
    for (int64_t j = 1; j <= S; ++j) variance += std::pow(double(j) - mean, 2) * alpha[size_t(j - 1)];
    CHECK(of(AlignmentVariance{}.forward(tensor<float>(alpha, {1, 1, 1, S}), nullptr))[0] == doctest::Approx(variance).epsilon(1e-5));
  }
}

TEST_CASE("variance: only valid rows and columns count, and a head that is sure has none") {
  std::vector<double> alpha(size_t(3 * 9), 0.0);
  alpha[3] = 1;
  alpha[9] = 0.5, alpha[9 + 4] = 0.5;                       // columns 1 and 5: variance 4
  alpha[18] = 0.5, alpha[18 + 8] = 0.5;
  const Tensor a = tensor<double>(alpha, {1, 1, 3, 9});
  CHECK(of(AlignmentVariance{}.forward(a, nullptr))[0] == doctest::Approx((4 + 16) / 3.0));
  CHECK(of(AlignmentVariance{{}, {2}}.forward(a, nullptr))[0] == doctest::Approx(2));
  CHECK(of(AlignmentVariance{{}, {1}}.forward(a, nullptr))[0] == 0);
  AlignmentVariance::Saved kept{a};
  const auto d = of(AlignmentVariance{{5}, {2}}.backward(std::move(kept), tensor<double>({1}, {1, 1}), {})[0]);
  CHECK(d[0] == doctest::Approx(4.5));                      // (1 - 4)² / 2
  CHECK(d[5] == 0);
  CHECK(d[18] == 0);
}

TEST_CASE("head pooling") {
  const Tensor v = tensor<double>({1, 3, 2, 4, 4, 0}, {2, 3});
  CHECK(of(HeadPool{HeadPooling::mean}.forward(v, nullptr))[0] == doctest::Approx(2));
  CHECK(of(HeadPool{HeadPooling::max}.forward(v, nullptr)) == std::vector<double>{3, 4});
  const double e1 = std::exp(1.0), e2 = std::exp(2.0), e3 = std::exp(3.0), all = e1 + e2 + e3, pooled = (e1 + 3 * e3 + 2 * e2) / all;
  auto gradient = [&](HeadPooling method) {
    HeadPool::Saved kept;
    const Tensor y = HeadPool{method}.forward(v, &kept);
    CHECK(of(y)[0] == doctest::Approx(method == HeadPooling::max ? 3 : pooled));
    return of(HeadPool{method}.backward(std::move(kept), tensor<double>({1, 1}, {2}), {})[0]);
  };
  CHECK(gradient(HeadPooling::softmax)[0] == doctest::Approx(e1 / all * (2 - pooled)));
  CHECK(gradient(HeadPooling::softmax)[0] < 0);             // the fastest head is pushed to be slower …
  CHECK(gradient(HeadPooling::softmax_stopgrad)[0] == doctest::Approx(e1 / all));   // … unless the weights are constants
  CHECK(gradient(HeadPooling::max) == std::vector<double>{0, 1, 0, 1, 0, 0});
}
