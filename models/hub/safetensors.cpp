#include "models/hub/safetensors.h"

#include <algorithm>
#include <cstring>
#include <nlohmann/json.hpp>

#include "models/hub/json_file.h"

namespace alinea {

namespace {

using Json = nlohmann::ordered_json;
constexpr uint64_t header_limit = 100'000'000;

bool is_list_of_sizes(const Json& j) {
  return j.is_array() && std::all_of(j.begin(), j.end(), [](const Json& n) { return n.is_number_unsigned() && n.get<uint64_t>() < uint64_t(1) << 62; });
}

struct Placed {
  int64_t begin;                                            // in the data
  TensorEntry entry;
};

// Reads one entry; its bytes come from the shape and are compared with the offsets.
Placed parse_entry(const std::string& place, const std::string& name, const Json& j, uint64_t data_bytes) {
  const std::string who = fmt::format("{}: tensor '{}'", place, shown(name));
  require_data(j.is_object() && j.contains("dtype") && j["dtype"].is_string(), "{} has no dtype", who);
  require_data(j.contains("shape") && is_list_of_sizes(j["shape"]), "{} has no shape of whole numbers from 0 to 2^62", who);
  require_data(j.contains("data_offsets") && is_list_of_sizes(j["data_offsets"]) && j["data_offsets"].size() == 2, "{} has no two data_offsets from 0 to 2^62", who);
  TensorEntry e{.name = name, .dtype = j["dtype"].get<std::string>()};
  int64_t bits = bits_of_file_dtype(e.dtype);
  require_data(bits > 0, "{} has the unknown dtype '{}'", who, shown(e.dtype));
  require_data(j["shape"].size() <= Shape::max_rank, "{} has {} axes, at most {} are possible", who, j["shape"].size(), int(Shape::max_rank));
  e.shape = Shape(std::span<const int64_t>(j["shape"].get<std::vector<int64_t>>()));
  bool fits = true, none = false;
  for (int i = 0; i < e.shape.rank; ++i) none = none || e.shape.dim[i] == 0, fits = fits && !__builtin_mul_overflow(bits, e.shape.dim[i], &bits);
  require_data(fits || none, "{} {} is too large for any memory", who, e.shape);
  bits = none ? 0 : bits;
  require_data(bits % 8 == 0, "{} {} {} does not fill whole bytes", who, e.dtype, e.shape);
  e.bytes = bits / 8;
  const uint64_t first = j["data_offsets"][0].get<uint64_t>(), last = j["data_offsets"][1].get<uint64_t>();
  require_data(first <= last && last <= data_bytes, "{} lies at {} … {}, the file holds {} data bytes; it is truncated or damaged", who, first, last, data_bytes);
  require_data(last - first == uint64_t(e.bytes), "{} {} {} needs {} bytes, its offsets span {}", who, e.dtype, e.shape, e.bytes, last - first);
  return {int64_t(first), std::move(e)};
}

Metadata parse_metadata(const std::string& place, const Json& j) {
  require_data(j.is_object(), "{}: __metadata__ is not an object", place);
  Metadata metadata;
  for (const auto& [key, value] : j.items()) {
    require_data(value.is_string(), "{}: metadata '{}' is not a string", place, shown(key));
    metadata[key] = value.get<std::string>();
  }
  return metadata;
}

}  // namespace

SafetensorsFile::SafetensorsFile(FileBytes file) : file_(std::move(file)) {
  const std::string& place = file_.place;
  const uint64_t size = file_.bytes.size();
  require_data(size >= 8, "{}: {} bytes are too few for a safetensors file", place, size);
  uint64_t header = 0;
  std::memcpy(&header, file_.bytes.data(), 8);
  require_data(header <= size - 8 && header <= header_limit, "{}: the header claims {} bytes of a file of {}; truncated, or no safetensors file", place, header, size);
  const std::string_view text = file_.text().substr(8, header);
  require_data(text.starts_with('{'), "{}: the header does not begin with '{{'; no safetensors file", place);
  const Json json = parse_json(text, place + ": header", 8);
  const int64_t start = 8 + int64_t(header);
  std::vector<Placed> found;
  for (const auto& [name, value] : json.items()) {
    if (name == "__metadata__") metadata_ = parse_metadata(place, value);
    else found.push_back(parse_entry(place, name, value, size - uint64_t(start)));
  }
  std::stable_sort(found.begin(), found.end(), [](const Placed& a, const Placed& b) { return std::pair(a.begin, a.entry.bytes) < std::pair(b.begin, b.entry.bytes); });
  int64_t at = 0;
  for (auto& [begin, e] : found) {
    require_data(begin >= at, "{}: tensor '{}' overlaps the one before it", place, shown(e.name));
    require_data(begin == at, "{}: {} unused bytes before tensor '{}'", place, begin - at, shown(e.name));
    at = begin + e.bytes;
    index_[e.name] = entries_.size();
    begins_.push_back(start + begin);
    entries_.push_back(std::move(e));
  }
  require_data(at == int64_t(size) - start, "{}: {} bytes after the last tensor belong to none", place, int64_t(size) - start - at);
}

Tensor SafetensorsFile::load(const std::string& name, Context& context) const {
  const auto it = index_.find(name);
  require_data(it != index_.end(), "{}: there is no tensor '{}'", file_.place, shown(name));
  const TensorEntry& e = entries_[it->second];
  return tensor_of(e, file_, file_.bytes.subspan(size_t(begins_[it->second]), size_t(e.bytes)), context);
}

NamedTensors SafetensorsFile::load_all(Context& context) const {
  NamedTensors all;
  for (const TensorEntry& e : entries_) all.emplace_back(e.name, load(e.name, context));
  return all;
}

}  // namespace alinea
