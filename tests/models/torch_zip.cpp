// What torch.save writes: values, views and shared storages; archives and pickles that are damaged or would run code are refused.
#include "models/hub/torch_zip.h"

#include "engine/core/files.h"
#include "tests/apps/program.h"
#include "tests/golden.h"
#include "tests/models/hub_files.h"

using namespace alinea;

namespace {

TorchZip open(const std::string& bytes) { return TorchZip(FileBytes::copied("x.bin", bytes)); }
std::string refusal(const std::string& bytes) {
  return data_error([&] {
    const TorchZip file = open(bytes);
    for (const TensorEntry& e : file.entries()) file.load(e.name, Context::cpu());
  });
}
std::string pickle_refusal(const std::string& pickle) { return refusal(torch_zip_of(pickle)); }
template <size_t N>
std::string proto(const char (&rest)[N]) {
  std::string pickle = "\x80\x02";
  return pickle.append(rest, N - 1);
}

}  // namespace

TEST_CASE("torch zip: tied, transposed, sliced, half, bfloat16, integer and scalar tensors have PyTorch's values") {
  const TorchZip file(FileBytes::mapped(golden("hf/torchzip_case.bin")));
  const auto values = [&](const char* name) { return file.load(name, Context::cpu()).values<float>(); };
  CHECK(file.entries().size() == 8);
  CHECK(values("shared.weight") == std::vector<float>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11});
  CHECK(file.load("lm_head.weight", Context::cpu()).data<float>() == file.load("shared.weight", Context::cpu()).data<float>());   // mapped once
  CHECK(values("t") == std::vector<float>{0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11});
  CHECK(values("slice") == std::vector<float>{5, 6, 9, 10});
  CHECK(values("half") == std::vector<float>{1.5f, -2});
  CHECK(values("long") == std::vector<float>{1, 2, 3});
  CHECK(file.load("long", Context::cpu()).dtype() == DType::i64);
  CHECK(file.load("scalar", Context::cpu()).rank() == 0);
  CHECK(values("scalar") == std::vector<float>{3.25f});
  CHECK(file.load("bf", Context::cpu()).dtype() == DType::bf16);
  CHECK(values("bf") == std::vector<float>{1, 3});
  file.verify();
}

TEST_CASE("torch zip: a whole wav2vec 2.0 file has the sums that PyTorch reads") {
  const TorchZip file(FileBytes::mapped(golden("hf/w2v2_oldbin/pytorch_model.bin")));
  double sum = 0, absolute = 0;
  int64_t numbers = 0;
  for (const TensorEntry& e : file.entries())
    for (const double x : file.load(e.name, Context::cpu()).values<double>()) sum += x, absolute += std::abs(x), ++numbers;
  CHECK(file.entries().size() == 69);
  CHECK(numbers == 36484);
  CHECK(sum == doctest::Approx(289.6312982372192).epsilon(1e-12));
  CHECK(absolute == doctest::Approx(4951.529655611811).epsilon(1e-12));
}

TEST_CASE("torch zip: archives made by hand") {
  const TorchZip file = open(torch_zip_of(pickle_of_tensor("w", 2, 1, 2)));
  CHECK(file.load("w", Context::cpu()).values<float>() == std::vector<float>{1, 3});
  CHECK(contains(pickle_refusal(pickle_of_tensor("w", 3, 1, 2)), "reaches past its storage of 4 elements"));
  CHECK(contains(pickle_refusal(pickle_of_tensor("w", 5, 0, 0)), "repeats elements of its storage of 4"));
  CHECK(contains(pickle_refusal(pickle_of_tensor("w", 2, 255, 2)), "reaches past"));
  CHECK(contains(pickle_refusal(pickle_of_tensor("\xC3", 2)), "a text that is not UTF-8"));
}

TEST_CASE("torch zip: hostile pickles are refused by opcode and offset, and nothing is called") {
  CHECK(contains(pickle_refusal(proto("cposix\nsystem\nX\x02\x00\x00\x00lsR.")), "byte 2: GLOBAL posix.system is refused"));
  CHECK(contains(pickle_refusal(proto("cbuiltins\neval\n.")), "GLOBAL builtins.eval is refused"));
  CHECK(contains(pickle_refusal(proto("(S'ls'\nios\nsystem\n.")), "opcode STRING"));
  CHECK(contains(pickle_refusal(proto("(ios\nsystem\n.")), "byte 3: opcode INST"));
  CHECK(contains(pickle_refusal(proto("}\x93.")), "opcode STACK_GLOBAL"));
  CHECK(contains(pickle_refusal(proto(")\x81.")), "opcode NEWOBJ"));
  CHECK(contains(pickle_refusal(proto("2.")), "opcode DUP"));
  CHECK(contains(pickle_refusal(proto("\xFE.")), "opcode 0xFE"));
  CHECK(contains(pickle_refusal("\x80\x04}."), "protocol 4"));
  CHECK(contains(pickle_refusal(proto("}")), "without STOP"));
  CHECK(contains(pickle_refusal(proto("X\xFF\xFF\xFF\xFF")), "without STOP"));
  CHECK(contains(pickle_refusal(""), "without STOP"));
  CHECK(contains(pickle_refusal(proto("ctorch")), "without its line end"));
  CHECK(contains(pickle_refusal(proto(".")), "a value is missing"));
  CHECK(contains(pickle_refusal(proto("t.")), "a MARK is missing"));
  CHECK(contains(pickle_refusal(proto("(.")), "a value is missing"));
  CHECK(contains(pickle_refusal(proto("h\x05.")), "memo 5 was never set"));
  CHECK(contains(pickle_refusal(proto("K\x01.")), "holds no dictionary"));
  CHECK(contains(pickle_refusal(proto("}K\x01K\x02s.")), "a key of the state dictionary is no text"));
  CHECK(contains(pickle_refusal(proto("}(X\x01\x00\x00\x00" "aK\x02u.")), "'a' is no tensor"));
  CHECK(contains(pickle_refusal(proto("}(X\x01\x00\x00\x00" "au.")), "a key without a value"));
  CHECK(contains(pickle_refusal(proto("]q\x00(h\x00h\x00h\x00" "e.")), "holds no dictionary"));   // a list that holds itself
  CHECK(contains(pickle_refusal(proto("(K\x01K\x02tQ.")), "has 2 parts"));
  CHECK(contains(pickle_refusal(proto("ctorch\nFloatStorage\n)R.")), "torch.FloatStorage is called"));
  CHECK(contains(pickle_refusal(proto("ctorch._utils\n_rebuild_tensor_v2\n)R.")), "with 0 arguments"));
  const std::string twice = pickle_of_tensor("w", 2);
  CHECK(contains(pickle_refusal(twice.substr(0, twice.size() - 2) + twice.substr(4, twice.size() - 6) + "u."), "'w' occurs twice"));
  for (size_t n = 0; n < twice.size(); ++n) CHECK(pickle_refusal(twice.substr(0, n)) != "no error");
}

TEST_CASE("torch zip: damaged archives are refused by record") {
  const std::string good = torch_zip_of(pickle_of_tensor("w", 2));
  CHECK(refusal(good) == "no error");
  CHECK(refusal(good.substr(0, good.size() - 22) + good.substr(good.size() - 22)) == "no error");
  for (size_t n = 0; n < good.size(); n += 7) CHECK(refusal(good.substr(0, n)) != "no error");
  std::string bits = good;
  bits[bits.find("a/data/0") + 8 + 5] ^= 1;
  CHECK(contains(refusal(bits), "record 'a/data/0' has check sum"));
  const std::string pickle = pickle_of_tensor("w", 2), floats(16, '\0');
  CHECK(contains(refusal(zip_of({{"a/data.pkl", pickle}})), "lies in storage '0', which is missing"));
  CHECK(contains(refusal(zip_of({{"a/data.pkl", pickle}, {"a/data/0", floats.substr(4)}})), "needs a storage of 4 F32 elements, record 'a/data/0' has 12 bytes"));
  CHECK(contains(refusal(zip_of({{"a/data.pkl", pickle}, {"a/data/0", floats, 8}})), "record 'a/data/0' is compressed (method 8)"));
  CHECK(contains(refusal(zip_of({{"a/data.pkl", pickle}, {"a/data/0", floats, 0, 1}})), "is encrypted"));
  CHECK(contains(refusal(zip_of({{"a/data.pkl", pickle}, {"a/data/0", floats, 0, 0, 1}})), "has check sum"));
  CHECK(contains(refusal(zip_of({{"a/data.pkl", pickle}, {"a/data.pkl", pickle}})), "'a/data.pkl' occurs twice"));
  CHECK(contains(refusal(zip_of({{"a/b/data.pkl", pickle}})), "without data.pkl"));
  CHECK(contains(refusal(zip_of({{"a/data.pkl", pickle}, {"a/constants.pkl", ""}})), "TorchScript"));
  CHECK(contains(refusal(zip_of({{"a/data.pkl", pickle}, {"a/byteorder", "big"}, {"a/data/0", floats}})), "byte order is 'big'"));
  CHECK(contains(data_error([&] { open_tensor_file(FileBytes::copied("old.bin", "\x80\x02\x8a\x0al\xfc")); }), "from before version 1.6"));

  // A bomb: a record inside of another one. The first archive shows what the bytes of the inner record are.
  const std::string alone = zip_of({{"a/data/1", floats}});
  std::string bomb = zip_of({{"a/data/0", alone.substr(0, alone.find("PK\1\2"))}, {"a/data/1", floats}});
  bomb.replace(bomb.rfind("PK\1\2") + 42, 4, bytes_of_number(uint32_t(30 + 8)));
  CHECK(contains(refusal(bomb), "overlaps another one"));
  bomb = alone;
  bomb.replace(bomb.rfind("PK\5\6") + 16, 4, bytes_of_number(uint32_t(3)));
  CHECK(contains(refusal(bomb), "entry 1 of the zip directory is damaged"));
}
