#include "models/hub/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>

namespace alinea {

namespace {

using Json = nlohmann::ordered_json;

int64_t bytes_per_element(const std::string& dtype) {
  static const std::map<std::string, int64_t> sizes = {{"F64", 8}, {"I64", 8}, {"F32", 4}, {"I32", 4}, {"F16", 2}, {"BF16", 2}, {"U8", 1}, {"BOOL", 1}};
  const auto it = sizes.find(dtype);
  return it == sizes.end() ? 0 : it->second;
}

std::string file_dtype(DType d) {
  switch (d) {
    case DType::f32: return "F32";
    case DType::f64: return "F64";
    case DType::bf16: return "BF16";
    case DType::i32: return "I32";
    case DType::i64: return "I64";
    case DType::u8: return "U8";
  }
  return "";
}

float half_to_float(uint16_t h) {
  const uint32_t sign = uint32_t(h & 0x8000) << 16, exponent = h >> 10 & 31, mantissa = h & 1023;
  if (exponent == 0) return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(float(mantissa) * 0x1p-24f));
  return std::bit_cast<float>(sign | (exponent == 31 ? 0x7F800000u : (exponent + 112) << 23) | mantissa << 13);
}

// Parses the header and refuses a key that occurs twice (a JSON parser would silently keep one of them).
Json parse_header(const std::string& where, const char* begin, const char* end) {
  std::vector<std::set<std::string>> open;
  try {
    return Json::parse(begin, end, [&](int, Json::parse_event_t event, Json& value) {
      if (event == Json::parse_event_t::object_start) open.emplace_back();
      if (event == Json::parse_event_t::object_end) open.pop_back();
      if (event == Json::parse_event_t::key)
        require_data(open.back().insert(value.get<std::string>()).second, "{}: the name '{}' occurs twice in the header", where, value.get<std::string>());
      return true;
    });
  } catch (const nlohmann::json::exception& e) {
    fail(Exit::data, "{}: the header is not valid JSON ({}); the file is damaged or no safetensors file", where, e.what());
  }
}

SafetensorsFile::Entry parse_entry(const std::string& where, const std::string& name, const Json& j, int64_t data_bytes) {
  const bool well_formed = j.is_object() && j.contains("dtype") && j["dtype"].is_string() && j.contains("shape") && j["shape"].is_array() &&
                           j.contains("data_offsets") && j["data_offsets"].is_array() && j["data_offsets"].size() == 2 &&
                           j["data_offsets"][0].is_number_unsigned() && j["data_offsets"][1].is_number_unsigned();
  require_data(well_formed, "{}: tensor '{}' lacks a dtype, a shape or two data_offsets that are not negative", where, name);
  SafetensorsFile::Entry e{.name = name, .dtype = j["dtype"].get<std::string>()};
  const int64_t size = bytes_per_element(e.dtype);
  require_data(size > 0, "{}: tensor '{}' has dtype {}; F64 F32 F16 BF16 I64 I32 U8 BOOL can be read", where, name, e.dtype);
  require_data(j["shape"].size() <= Shape::max_rank, "{}: tensor '{}' has {} axes, at most {} are possible", where, name, j["shape"].size(), int(Shape::max_rank));
  int64_t bytes = size;
  std::vector<int64_t> dims;
  for (const auto& d : j["shape"]) {
    require_data(d.is_number_unsigned() && d.get<uint64_t>() < uint64_t(1) << 62, "{}: tensor '{}' has an impossible size in its shape", where, name);
    dims.push_back(d.get<int64_t>());
    require_data(!__builtin_mul_overflow(bytes, dims.back(), &bytes), "{}: tensor '{}' is too large for any memory", where, name);
  }
  e.shape = Shape(std::span<const int64_t>(dims));
  const uint64_t begin = j["data_offsets"][0].get<uint64_t>(), end = j["data_offsets"][1].get<uint64_t>();
  require_data(begin <= end && end <= uint64_t(data_bytes), "{}: tensor '{}' lies at {} … {}, the file holds {} data bytes; it is truncated or damaged", where, name, begin,
               end, data_bytes);
  require_data(int64_t(end - begin) == bytes, "{}: tensor '{}' {} {} needs {} bytes, its offsets span {}", where, name, e.dtype, e.shape, bytes, end - begin);
  e.begin = int64_t(begin);
  e.bytes = bytes;
  return e;
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : path_(path), file_(path) {
  const std::string where = path.string();
  const char* base = file_.text().data();
  const int64_t size = int64_t(file_.size());
  require_data(size >= 8, "{}: {} bytes are too few for a safetensors file", where, size);
  uint64_t header = 0;
  std::memcpy(&header, base, 8);
  require_data(header <= uint64_t(size - 8) && header <= 100'000'000, "{}: the header claims {} bytes of a file of {}; truncated, or no safetensors file", where, header, size);
  const Json json = parse_header(where, base + 8, base + 8 + header);
  require_data(json.is_object(), "{}: the header is not a JSON object", where);
  const int64_t start = 8 + int64_t(header);
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") {
      for (const auto& [k, v] : value.items()) {
        require_data(v.is_string(), "{}: metadata '{}' is not a string", where, k);
        metadata_[k] = v.get<std::string>();
      }
      continue;
    }
    entries_.push_back(parse_entry(where, name, value, size - start));
  }
  std::stable_sort(entries_.begin(), entries_.end(), [](const Entry& a, const Entry& b) { return a.begin < b.begin; });
  int64_t at = 0;
  for (Entry& e : entries_) {
    require_data(e.begin >= at, "{}: tensor '{}' overlaps the one before it", where, e.name);
    require_data(e.begin == at, "{}: {} unused bytes before tensor '{}'", where, e.begin - at, e.name);
    at = e.begin + e.bytes;
    e.begin += start;
  }
  require_data(at == size - start, "{}: {} bytes after the last tensor belong to none", where, size - start - at);
}

bool SafetensorsFile::has(const std::string& name) const {
  return std::any_of(entries_.begin(), entries_.end(), [&](const Entry& e) { return e.name == name; });
}

const SafetensorsFile::Entry& SafetensorsFile::entry(const std::string& name) const {
  for (const Entry& e : entries_)
    if (e.name == name) return e;
  fail(Exit::data, "{}: there is no tensor '{}'", path_.string(), name);
}

Tensor SafetensorsFile::load(const std::string& name, Context& context) const {
  const Entry& e = entry(name);
  const auto* from = file_.bytes().data() + e.begin;
  static const std::map<std::string, DType> types = {{"F64", DType::f64}, {"F32", DType::f32}, {"F16", DType::f32}, {"BF16", DType::bf16},
                                                     {"I64", DType::i64}, {"I32", DType::i32}, {"U8", DType::u8},   {"BOOL", DType::u8}};
  const DType dtype = types.at(e.dtype);
  const Tensor host = Context::cpu().empty(e.shape, dtype);
  if (e.dtype == "F16") {
    float* to = host.data<float>();
    for (int64_t i = 0; i < host.count(); ++i) {
      uint16_t h;
      std::memcpy(&h, from + 2 * i, 2);
      to[i] = half_to_float(h);
    }
  } else if (e.bytes > 0) {
    with_any(dtype, [&]<class T>() { std::memcpy(host.data<T>(), from, size_t(e.bytes)); });
  }
  return host.to(context);
}

NamedTensors SafetensorsFile::load_all(Context& context) const {
  NamedTensors all;
  for (const Entry& e : entries_) all.emplace_back(e.name, load(e.name, context));
  return all;
}

std::string safetensors_bytes(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata) {
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  int64_t at = 0;
  for (const auto& [name, t] : tensors) {
    require(!header.contains(name), "safetensors: two tensors are named '{}'", name);
    header[name] = {{"dtype", file_dtype(t.dtype())}, {"shape", std::vector<int64_t>(t.shape().dim.begin(), t.shape().dim.begin() + t.rank())}, {"data_offsets", {at, at + t.bytes()}}};
    at += t.bytes();
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');              // data starts on 8 bytes
  std::string bytes(8, '\0');
  const uint64_t length = text.size();
  std::memcpy(bytes.data(), &length, 8);
  bytes.reserve(8 + text.size() + size_t(at));
  bytes += text;
  for (const auto& [name, t] : tensors) {
    const Tensor host = t.compact().to(Context::cpu());
    with_any(host.dtype(), [&]<class T>() { bytes.append(reinterpret_cast<const char*>(host.data<T>()), size_t(host.bytes())); });
  }
  return bytes;
}

void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const std::map<std::string, std::string>& metadata) {
  write_atomically(path, safetensors_bytes(tensors, metadata));
}

}  // namespace alinea
