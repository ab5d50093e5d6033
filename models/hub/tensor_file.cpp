#include "models/hub/tensor_file.h"

#include <array>
#include <cstring>

#include "engine/core/files.h"
#include "engine/core/parallel.h"
#include "models/hub/half.h"
#include "models/hub/safetensors.h"
#include "models/hub/torch_zip.h"

namespace alinea {

namespace {

struct FileDType {
  std::string_view name;
  int64_t bits;
};

constexpr std::array file_dtypes{
    FileDType{"BOOL", 8},    FileDType{"U8", 8},      FileDType{"I8", 8},          FileDType{"F8_E5M2", 8},     FileDType{"F8_E4M3", 8},
    FileDType{"F8_E8M0", 8}, FileDType{"I16", 16},    FileDType{"U16", 16},        FileDType{"F16", 16},        FileDType{"BF16", 16},
    FileDType{"I32", 32},    FileDType{"U32", 32},    FileDType{"F32", 32},        FileDType{"I64", 64},        FileDType{"U64", 64},
    FileDType{"F64", 64},    FileDType{"C64", 64},    FileDType{"F4", 4},          FileDType{"F6_E2M3", 6},     FileDType{"F6_E3M2", 6},
    FileDType{"F8_E4M3FNUZ", 8}, FileDType{"F8_E5M2FNUZ", 8},
};

// The dtype under which the stored bytes can be used as they are.
bool used_as_stored(std::string_view dtype, DType& ours) {
  constexpr std::array same{std::pair{"F32", DType::f32}, std::pair{"BF16", DType::bf16}, std::pair{"F64", DType::f64}, std::pair{"I64", DType::i64},
                            std::pair{"I32", DType::i32}, std::pair{"U8", DType::u8},     std::pair{"BOOL", DType::u8}};
  for (const auto& [name, d] : same)
    if (dtype == name) return ours = d, true;
  return false;
}

Tensor widened(const TensorEntry& entry, std::span<const std::byte> bytes) {
  const Tensor t = Context::cpu().empty(entry.shape, DType::f32);
  float* to = t.data<float>();
  parallel_for(t.count(), 65536, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      uint16_t half;
      std::memcpy(&half, bytes.data() + 2 * i, 2);
      to[i] = float_of_half(half);
    }
  });
  return t;
}

// Length of the UTF-8 character at the front of text (no overlong forms, surrogates or values past U+10FFFF); 0 if there is none.
size_t character(std::string_view text) {
  const auto byte = [&](size_t i) { return i < text.size() ? uint8_t(text[i]) : uint8_t(0); };
  const auto follows = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const uint8_t a = byte(0), b = byte(1);
  if (a < 0x80) return 1;
  if (a >= 0xC2 && a <= 0xDF) return follows(1) ? 2 : 0;
  if (a >= 0xE0 && a <= 0xEF) {
    const bool low = a == 0xE0 && b < 0xA0, surrogate = a == 0xED && b > 0x9F;
    return follows(1) && follows(2) && !low && !surrogate ? 3 : 0;
  }
  if (a >= 0xF0 && a <= 0xF4) {
    const bool low = a == 0xF0 && b < 0x90, high = a == 0xF4 && b > 0x8F;
    return follows(1) && follows(2) && follows(3) && !low && !high ? 4 : 0;
  }
  return 0;
}

}  // namespace

FileBytes FileBytes::mapped(const std::filesystem::path& path) {
  auto file = std::make_shared<MappedFile>(path);
  return {path.string(), {file->data(), file->size()}, file};
}

FileBytes FileBytes::copied(std::string place, std::string_view bytes) {
  auto copy = std::make_shared<std::vector<std::byte>>(bytes.size());
  if (!bytes.empty()) std::memcpy(copy->data(), bytes.data(), bytes.size());
  return {std::move(place), *copy, copy};
}

int64_t bits_of_file_dtype(std::string_view dtype) {
  for (const FileDType& d : file_dtypes)
    if (d.name == dtype) return d.bits;
  return 0;
}

std::string_view file_dtype(DType dtype) {
  switch (dtype) {
    case DType::f32: return "F32";
    case DType::f64: return "F64";
    case DType::bf16: return "BF16";
    case DType::i32: return "I32";
    case DType::i64: return "I64";
    case DType::u8: return "U8";
  }
  return "";
}

Tensor tensor_of(const TensorEntry& entry, const FileBytes& file, std::span<std::byte> bytes, Context& context) {
  DType dtype = DType::f32;
  if (entry.dtype == "F16") return widened(entry, bytes).to(context);
  require_data(used_as_stored(entry.dtype, dtype), "{}: tensor '{}' has dtype {}; F32 F16 BF16 F64 I64 I32 U8 BOOL can be loaded", file.place, shown(entry.name), entry.dtype);
  const bool aligned = reinterpret_cast<uintptr_t>(bytes.data()) % size_t(bytes_of(dtype)) == 0;
  if (aligned && !bytes.empty()) {
    const Tensor t(std::make_shared<Storage>(Context::cpu(), int64_t(bytes.size()), bytes.data(), file.owner), entry.shape, dtype);
    return t.to(context);
  }
  const Tensor t = Context::cpu().empty(entry.shape, dtype);
  if (!bytes.empty()) with_any(dtype, [&]<class T>() { std::memcpy(t.data<T>(), bytes.data(), bytes.size()); });
  return t.to(context);
}

std::unique_ptr<TensorFile> open_tensor_file(FileBytes file) {
  const std::string_view text = file.text();
  require_data(!text.starts_with("\x80\x02"), "{}: a PyTorch file in the format from before version 1.6; load it with torch and save it again (torch.save writes a zip now)", file.place);
  if (text.starts_with("PK")) return std::make_unique<TorchZip>(std::move(file));
  return std::make_unique<SafetensorsFile>(std::move(file));
}

std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path) { return open_tensor_file(FileBytes::mapped(path)); }

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const size_t n = character(text);
    if (n == 0) return false;
    text.remove_prefix(n);
  }
  return true;
}

std::string shown(std::string_view name) {
  std::string out;
  while (!name.empty()) {
    const size_t n = character(name);
    if (out.size() + n > 120) return out + "…";
    const bool control = n == 1 && (uint8_t(name[0]) < 0x20 || name[0] == 0x7F);
    if (n == 0 || control) out += '?';
    else out += name.substr(0, n);
    name.remove_prefix(std::max<size_t>(n, 1));
  }
  return out;
}

}  // namespace alinea
