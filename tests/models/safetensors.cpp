// safetensors: what is written comes back; every kind of damage is refused by name.
#include "models/hub/safetensors.h"

#include <cmath>
#include <limits>

#include "engine/core/files.h"
#include "models/hub/half.h"
#include "tests/apps/program.h"
#include "tests/models/hub_files.h"

using namespace alinea;

namespace {

std::string refusal(const std::string& bytes) {
  return data_error([&] { SafetensorsFile(FileBytes::copied("x.safetensors", bytes)); });
}
std::string refusal(const std::string& header, size_t data) { return refusal(safetensors_of(header, data)); }

Tensor floats(const std::vector<float>& v, const Shape& shape) { return Context::cpu().from(v.data(), shape); }

}  // namespace

TEST_CASE("half precision: every value survives, rounding is to nearest even") {
  for (uint32_t h = 0; h < 65536; ++h) {
    const float x = float_of_half(uint16_t(h));
    if (std::isnan(x)) CHECK(std::isnan(float_of_half(half_of_float(x))));
    else if (half_of_float(x) != h) FAIL_CHECK("half " << h << " becomes " << half_of_float(x));
    // Halfway to the next one: the even of the two.
    if (const float next = float_of_half(uint16_t(h + 1)); std::isfinite(x) && std::isfinite(next) && (h & 0x7FFF) < 0x7BFF)
      if (half_of_float(x / 2 + next / 2) != (h & 1 ? h + 1 : h)) FAIL_CHECK("halfway past " << h << " becomes " << half_of_float(x / 2 + next / 2));
  }
  CHECK(half_of_float(65519.0f) == 0x7BFF);
  CHECK(half_of_float(65520.0f) == 0x7C00);
  CHECK(half_of_float(-1e-9f) == 0x8000);
}

TEST_CASE("safetensors: tensors of every dtype, empty and of rank 0 come back, mapped where possible") {
  const Folder folder;
  Context& cpu = Context::cpu();
  const int64_t ids[] = {1, -2};
  const uint8_t flags[] = {1, 0, 1};
  const NamedTensors tensors = {{"u8", cpu.from(flags, {3})},          {"f32", floats({1, 2, 3, 4, 5, 6}, {2, 3}).permute({1, 0})}, {"scalar", floats({7}, {})},
                                {"empty", floats({}, {0, 5})},          {"bf16", floats({1.5f, -2}, {2}).to(DType::bf16)},             {"i64", cpu.from(ids, {2})}};
  write_safetensors(folder / "a.safetensors", tensors, {{"format", "pt"}, {"ü", "\"ß"}});
  const int64_t before = cpu.memory().live;
  Tensor kept;
  {
    const SafetensorsFile file(folder / "a.safetensors");
    CHECK(file.metadata() == Metadata{{"format", "pt"}, {"ü", "\"ß"}});
    for (const auto& [name, t] : tensors) {
      const Tensor back = file.load(name, cpu);
      CHECK(back.shape() == t.shape());
      CHECK(back.dtype() == t.dtype());
      CHECK(back.values<double>() == t.values<double>());
    }
    kept = file.load("scalar", cpu);
  }
  kept.data<float>()[0] += 1;                               // copy on write; outlives the reader
  CHECK(kept.item() == 8);
  CHECK(SafetensorsFile(folder / "a.safetensors").load("scalar", cpu).item() == 7);
  const SafetensorsFile odd(FileBytes::copied("odd", safetensors_of(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"F32","shape":[2],"data_offsets":[1,9]}})", 9)));
  CHECK(odd.load("b", cpu).values<float>() == std::vector<float>{0, 0});   // not aligned: copied
  const SafetensorsFile aligned(folder / "a.safetensors");
  kept = {};
  CHECK(cpu.memory().live == before);
  const Tensor mapped = aligned.load("i64", cpu);           // after an odd number of bytes: copied; a multiple of 8 comes mapped
  write_safetensors(folder / "b.safetensors", {{"x", floats(std::vector<float>(1000, 2.0f), {1000})}});
  const int64_t now = cpu.memory().live;
  const Tensor x = SafetensorsFile(folder / "b.safetensors").load("x", cpu);
  CHECK(cpu.memory().live == now);
  CHECK(x.values<float>()[999] == 2);
}

TEST_CASE("safetensors: conversion to half and bf16 while writing; what does not fit is refused and nothing is left behind") {
  const Folder folder;
  const auto out = [&](const std::string& dtype, const std::vector<float>& v) {
    write_safetensors(folder / "h.safetensors", std::vector<OutgoingTensor>{{"x", dtype, {int64_t(v.size())}, [&] { return floats(v, {int64_t(v.size())}); }}});
    return SafetensorsFile(folder / "h.safetensors").load("x", Context::cpu()).values<float>();
  };
  CHECK(out("F16", {1.5f, -65504, 1e-7f}) == std::vector<float>{1.5f, -65504, 0x1p-23f});
  CHECK(out("BF16", {1.5f, 3.14159f})[1] == doctest::Approx(3.140625));
  CHECK(contains(data_error([&] { out("F16", {1, 70000}); }), "tensor 'x': the value 70000 does not fit fp16"));
  CHECK(SafetensorsFile(folder / "h.safetensors").entries()[0].dtype == "BF16");   // the older file is untouched
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
  CHECK_THROWS_WITH_AS(write_safetensors(folder / "n", NamedTensors{{"\xFF", floats({1}, {1})}}), doctest::Contains("can't be named"), Error);
  CHECK_THROWS_WITH_AS(write_safetensors(folder / "n", NamedTensors{{"a", floats({1}, {1})}, {"a", floats({1}, {1})}}), doctest::Contains("two tensors are named 'a'"), Error);
}

TEST_CASE("safetensors: damaged and hostile files are refused by name") {
  CHECK(contains(refusal("PK"), "2 bytes are too few"));
  CHECK(contains(refusal(bytes_of_number(uint64_t(1) << 63)), "the header claims 9223372036854775808 bytes"));
  CHECK(contains(refusal(bytes_of_number(~uint64_t(0))), "truncated"));
  CHECK(contains(refusal("[1]", 0), "does not begin with '{'"));
  CHECK(contains(refusal(" {}", 0), "does not begin with '{'"));
  CHECK(contains(refusal("{\"a\":", 0), "not valid JSON"));
  CHECK(contains(refusal("{\"\xFF\xFE\":1}", 0), "not valid JSON"));
  CHECK(contains(refusal("{\"a\":" + std::string(100000, '['), 0), "nested more than 8 deep"));
  CHECK(contains(refusal("{\"a\":" + std::string(5000, '{'), 0), "not valid JSON"));
  CHECK(contains(refusal(R"({"a":1})", 0), "tensor 'a' has no dtype"));
  CHECK(contains(refusal(R"({"a\u0007\n":1})", 0), "tensor 'a?" "?'"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32"}})", 0), "has no shape"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4), "has no shape"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4), "has no shape"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[1]}})", 4), "data_offsets"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}})", 4), "data_offsets"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,1e999]}})", 4), "not valid JSON"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[18446744073709551612,18446744073709551615]}})", 4), "data_offsets"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F99","shape":[1],"data_offsets":[0,4]}})", 4), "unknown dtype 'F99'"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4), "has 7 axes"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", 8), "needs 4 bytes, its offsets span 8"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0), "too large for any memory"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,1]}})", 1), "does not fill whole bytes"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4), "it is truncated or damaged"));
  CHECK(contains(refusal(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4), "lies at 4 … 0"));
  CHECK(contains(refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6), "'b' overlaps"));
  CHECK(contains(refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}})", 6), "2 unused bytes before tensor 'a'"));
  CHECK(contains(refusal(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})", 6), "2 bytes after the last tensor"));
  CHECK(contains(refusal(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}})", 0), "'a' occurs twice"));
  CHECK(contains(refusal(R"({"__metadata__":{"a":1}})", 0), "metadata 'a' is not a string"));
  CHECK(contains(refusal(R"({"__metadata__":"a"})", 0), "__metadata__ is not an object"));
  const SafetensorsFile fine(FileBytes::copied("x", safetensors_of(R"({"z":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"e":{"dtype":"F64","shape":[0],"data_offsets":[0,0]}}   )", 4)));
  CHECK(fine.entries().size() == 2);
  CHECK(SafetensorsFile(FileBytes::copied("x", safetensors_of("{}", 0))).entries().empty());
  const SafetensorsFile eight(FileBytes::copied("x", safetensors_of(R"({"a":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]}})", 4)));
  CHECK(contains(data_error([&] { eight.load("a", Context::cpu()); }), "tensor 'a' has dtype F8_E4M3"));
  CHECK(contains(data_error([&] { fine.load("no", Context::cpu()); }), "there is no tensor 'no'"));
}
