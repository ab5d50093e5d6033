// What the host hands to the GPU may be changed or freed at once; tensors of more than 2^31 elements.
#include <doctest/doctest.h>

#include <numeric>

#include "engine/core/device.h"

using namespace alinea;

namespace {

const bool no_gpu = cuda_device_count() == 0;

std::vector<int32_t> numbers(int64_t n, int32_t first) {
  std::vector<int32_t> v(size_t(n), 0);
  std::iota(v.begin(), v.end(), first);
  return v;
}

}  // namespace

TEST_CASE("cuda: host memory may be overwritten as soon as its copy to the GPU was asked for" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  // One number; pieces of a staging slot; more than one slot (1 Mi numbers); more than the whole ring. No kernel runs in between.
  std::vector<std::pair<Tensor, int32_t>> sent;
  int32_t first = 0;
  for (const int64_t n : {1, 1000, 3 << 20, 1, 700000, 700001, 5 << 20, 17, 1 << 20}) {
    auto v = numbers(n, first);
    sent.emplace_back(gpu.from(v.data(), {n}), first);
    std::fill(v.begin(), v.end(), -1);
    first += 12345;
  }
  for (const auto& [tensor, start] : sent) CHECK((tensor.values<int32_t>() == numbers(tensor.count(), start)));
}

TEST_CASE("cuda: many small copies go round the staging ring" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  const int64_t n = 5000, count = 1200;                      // 24 MB in all
  const Tensor all = gpu.empty({count, n}, DType::i32);
  for (int64_t i = 0; i < count; ++i) {
    auto v = numbers(n, int32_t(i));
    all.slice(0, i, i + 1).reshape({n}).copy_from(Context::cpu().from(v.data(), {n}));
  }
  const auto back = all.values<int32_t>();
  bool right = true;
  for (int64_t i = 0; i < count; ++i)
    for (int64_t j = 0; j < n; ++j) right = right && back[size_t(i * n + j)] == int32_t(i + j);
  CHECK(right);
}

TEST_CASE("cuda: tensors of more than 2^31 elements" * doctest::skip(no_gpu)) {
  Context& gpu = Context::cuda();
  if (gpu.name().find("emulated") != std::string::npos) {
    MESSAGE("SKIPPED: cuda: tensors of more than 2^31 elements take a GPU; the emulation is too slow");
    return;
  }
  const int64_t half = (int64_t(1) << 30) + 4, n = 2 * half - 1;   // 2^31 + 7
  Tensor x, y;
  try {
    x = gpu.full({2, half}, DType::u8, 3), y = gpu.empty({n}, DType::u8);
  } catch (const Error& e) {
    MESSAGE("SKIPPED: cuda: tensors of more than 2^31 elements: ", std::string(e.what()));
    return;
  }
  const Tensor flat = x.reshape({2 * half}).slice(0, 0, n);
  const std::vector<uint8_t> ends{5, 6, 7};
  auto at = [](const Tensor& t, int64_t i) { return t.slice(0, i, i + 1).values<int32_t>()[0]; };
  flat.slice(0, n - 3, n).copy_from(gpu.from(ends.data(), {3}));
  flat.slice(0, half, half + 3).copy_from(gpu.from(ends.data(), {3}));
  y.copy_from(flat);
  for (const Tensor& t : {flat, y}) {
    CHECK(at(t, 0) == 3);
    CHECK(at(t, half + 1) == 6);
    CHECK(at(t, int64_t(1) << 31) == 3);
    CHECK(at(t, n - 1) == 7);
  }
  y = {};
  const Tensor columns = x.permute({1, 0}).compact();        // element [i, j] is x[j, i]
  const Tensor turned = columns.reshape({2 * half});
  CHECK(at(turned, 0) == 3);
  CHECK(at(turned, 1) == 5);
  CHECK(at(turned, 3) == 6);
  CHECK(at(turned, n - 4) == 6);                             // x[1, half - 3]
  CHECK(at(turned, n - 2) == 7);
  CHECK(at(turned, n) == 3);
}
