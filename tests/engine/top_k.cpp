#include "engine/ops/replace_elements.h"
#include "engine/ops/top_k.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/core/random.h"

using namespace alinea;

TEST_CASE("top_k: the largest of each row in order, equals by column, and log Σ exp") {
  Draw draw(RandomKey{3});
  for (const int64_t width : {1, 5, 16, 127, 1000, 20011})
    for (const bool rounded : {false, true})                // many equal values
      for (const int64_t k : {1, 2, 10, 60}) {
        if (k > width) continue;
        const int64_t rows = 3;
        std::vector<float> v(static_cast<size_t>(rows * width));
        for (float& x : v) x = float(rounded ? std::round(draw.normal()) : 5 * draw.normal());
        for (int64_t i = 0; i < width; i += 7) v[size_t(width + i)] = -std::numeric_limits<float>::infinity();
        for (int64_t i = 1; i < width / 2; i += 7) v[size_t(i)] = -1e30f;
        const TopK::Result found = TopK{.k = k, .log_sum = true}.forward(Context::cpu().from(v.data(), {rows, width}));
        for (int64_t r = 0; r < rows; ++r) {
          const float* row = v.data() + r * width;
          std::vector<int32_t> order(static_cast<size_t>(width));
          for (size_t i = 0; i < order.size(); ++i) order[i] = int32_t(i);
          std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return row[a] > row[b]; });
          double sum = 0;
          for (int64_t i = 0; i < width; ++i) sum += std::exp(double(row[i]));
          if (sum > 0) CHECK(found.log_sums[size_t(r)] == doctest::Approx(std::log(sum)).epsilon(1e-6).scale(1));
          for (int64_t i = 0; i < k; ++i) {
            const TopK::Entry& e = found.entries[size_t(r * k + i)];
            if (row[order[size_t(i)]] == -std::numeric_limits<float>::infinity()) CHECK(e.column == -1);
            else CHECK((e.column == order[size_t(i)] && e.value == double(row[e.column])));
          }
        }
      }
}

TEST_CASE("top_k: NaN is never among the largest, and shows in the sum") {
  const double v[] = {1, std::nan(""), 3, 2};
  const TopK::Result found = TopK{.k = 4, .log_sum = true}.forward(Context::cpu().from(v, {1, 4}));
  CHECK(found.entries[0].column == 2);
  CHECK(found.entries[1].column == 3);
  CHECK(found.entries[2].column == 0);
  CHECK(found.entries[3].column == -1);
  CHECK(std::isnan(found.log_sums[0]));
  CHECK_THROWS_AS(TopK{.k = 5}.forward(Context::cpu().from(v, {1, 4})), Error);
}

TEST_CASE("replace_elements: what stood there comes back in order") {
  const float v[] = {1, 2, 3, 4, 5, 6};
  const Tensor x = Context::cpu().from(v, {2, 3});
  CHECK(replace_elements(x, {4, 0, 5}, -1) == std::vector<double>{5, 1, 6});
  CHECK(x.values<float>() == std::vector<float>{-1, 2, 3, 4, -1, -1});
  CHECK(replace_elements(x, {}, 7).empty());
  CHECK_THROWS_AS(replace_elements(x, {6}, 0), Error);
}
