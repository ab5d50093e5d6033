#include <cmath>
#include <nlohmann/json.hpp>

#include "engine/core/files.h"
#include "models/hub/half.h"
#include "models/hub/safetensors.h"

namespace alinea {

namespace {

std::string header_of(const std::vector<OutgoingTensor>& tensors, const Metadata& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  int64_t at = 0;
  for (const OutgoingTensor& t : tensors) {
    require(is_utf8(t.name) && t.name != "__metadata__", "safetensors: a tensor can't be named '{}'", shown(t.name));
    require(!header.contains(t.name), "safetensors: two tensors are named '{}'", t.name);
    const std::vector<int64_t> shape(t.shape.dim.begin(), t.shape.dim.begin() + t.shape.rank);
    header[t.name] = {{"dtype", t.dtype}, {"shape", shape}, {"data_offsets", {at, at + t.bytes()}}};
    at += t.bytes();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');              // data starts on 8 bytes
  const uint64_t length = text.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + text;
}

// Writes f32 elements as halves, through a small buffer.
void write_halves(AtomicFile& file, const OutgoingTensor& t, const Tensor& values) {
  const float* from = values.data<float>();
  std::vector<uint16_t> part;
  for (int64_t begin = 0; begin < values.count(); begin += 65536) {
    part.clear();
    for (int64_t i = begin; i < std::min(values.count(), begin + 65536); ++i) {
      part.push_back(half_of_float(from[i]));
      require_data((part.back() & 0x7FFF) != 0x7C00 || std::isinf(from[i]), "tensor '{}': the value {} does not fit fp16 (largest 65504); write bf16 or fp32", shown(t.name), from[i]);
    }
    file.write({reinterpret_cast<const char*>(part.data()), part.size() * 2});
  }
}

void write_tensor(AtomicFile& file, const OutgoingTensor& t) {
  const Tensor given = t.load();
  require(given.shape() == t.shape, "safetensors: tensor '{}' was announced as {} and is {}", shown(t.name), t.shape, given.shape());
  if (given.count() == 0) return;
  const Tensor host = given.compact().to(Context::cpu());
  if (t.dtype == "F16") return write_halves(file, t, host.to(DType::f32));
  const Tensor stored = t.dtype == "F32" ? host.to(DType::f32) : t.dtype == "BF16" ? host.to(DType::bf16) : host;
  require(file_dtype(stored.dtype()) == t.dtype || (t.dtype == "BOOL" && stored.dtype() == DType::u8), "safetensors: tensor '{}' holds {}, which can't be written as {}", shown(t.name),
          stored.dtype(), t.dtype);
  with_any(stored.dtype(), [&]<class T>() { file.write({reinterpret_cast<const char*>(stored.data<T>()), size_t(stored.bytes())}); });
}

}  // namespace

std::vector<OutgoingTensor> outgoing(const NamedTensors& tensors) {
  std::vector<OutgoingTensor> all;
  for (const auto& [name, t] : tensors) all.push_back({name, std::string(file_dtype(t.dtype())), t.shape(), [t = t] { return t; }});
  return all;
}

void write_safetensors(const std::filesystem::path& path, const std::vector<OutgoingTensor>& tensors, const Metadata& metadata) {
  AtomicFile file(path);
  file.write(header_of(tensors, metadata));
  for (const OutgoingTensor& t : tensors) write_tensor(file, t);
  file.commit();
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const Metadata& metadata) { write_safetensors(path, outgoing(tensors), metadata); }

}  // namespace alinea
