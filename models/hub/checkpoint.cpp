#include "models/hub/checkpoint.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/core/files.h"
#include "models/hub/json_file.h"

namespace alinea {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

constexpr const char* single_file = "model.safetensors";
constexpr const char* index_file = "model.safetensors.index.json";

// tensor -> file of an index, files that are names in the index's own folder.
std::map<std::string, std::string> read_index(const fs::path& path) {
  const std::string place = path.string();
  const Json json = read_json(path);
  require_data(json.is_object() && json.contains("weight_map") && json["weight_map"].is_object() && !json["weight_map"].empty(), "{}: there is no weight_map; this is no index of shards", place);
  std::map<std::string, std::string> shard_of;
  for (const auto& [name, file] : json["weight_map"].items()) {
    require_data(file.is_string(), "{}: the file of tensor '{}' is no text", place, shown(name));
    const std::string shard = file.get<std::string>();
    const bool plain = !shard.empty() && shard != "." && shard != ".." && shard.find_first_of(std::string_view("/\0", 2)) == std::string::npos;
    require_data(plain, "{}: the file '{}' of tensor '{}' is not a name in the same folder", place, shown(shard), shown(name));
    shard_of[name] = shard;
  }
  return shard_of;
}

}  // namespace

fs::path Checkpoint::weights_of(const fs::path& folder) {
  for (const char* name : {single_file, index_file, "pytorch_model.bin", "pytorch_model.bin.index.json"})
    if (fs::exists(folder / name)) return folder / name;
  return {};
}

Checkpoint Checkpoint::open(const fs::path& path) {
  Checkpoint c;
  fs::path file = path;
  if (fs::is_directory(path)) {
    file = weights_of(path);
    require_data(!file.empty(), "{}: there are no weights here: model.safetensors or pytorch_model.bin, or the .index.json of their shards, is expected", path.string());
  }
  require_data(fs::exists(file), "{}: there is no such file", file.string());
  c.place_ = file.string();
  if (file.extension() == ".json") c.add_shards(file);
  else c.add(file);
  return c;
}

void Checkpoint::add(const fs::path& file) {
  files_.push_back(file);
  readers_.push_back(open_tensor_file(file));
  for (const TensorEntry& e : readers_.back()->entries()) {
    require_data(index_.emplace(e.name, entries_.size()).second, "{}: tensor '{}' is in an earlier shard, too", file.string(), shown(e.name));
    entries_.push_back(e);
    reader_of_.push_back(readers_.size() - 1);
  }
  metadata_.insert(readers_.back()->metadata().begin(), readers_.back()->metadata().end());
}

void Checkpoint::add_shards(const fs::path& index) {
  const auto shard_of = read_index(index);
  std::set<std::string> shards;
  for (const auto& [name, shard] : shard_of) shards.insert(shard);
  for (const std::string& shard : shards) {
    const fs::path file = index.parent_path() / shard;
    require_data(fs::exists(file), "{}: the shard {} is missing; download it, or the whole model, again", index.string(), shown(shard));
    add(file);
  }
  for (const auto& [name, shard] : shard_of) {
    const auto it = index_.find(name);
    require_data(it != index_.end() && files_[reader_of_[it->second]].filename() == shard, "{}: tensor '{}' should be in {}, which does not hold it", index.string(), shown(name), shown(shard));
  }
}

const TensorEntry& Checkpoint::entry(const std::string& name) const {
  const auto it = index_.find(name);
  require_data(it != index_.end(), "{}: there is no tensor '{}'", place_, shown(name));
  return entries_[it->second];
}

Tensor Checkpoint::load(const std::string& name, Context& context, Bf16 bf16) const {
  const TensorEntry& e = entry(name);
  const TensorFile& file = *readers_[reader_of_[size_t(&e - entries_.data())]];
  if (e.dtype == "BF16" && bf16 == Bf16::widen) return file.load(name, Context::cpu()).to(DType::f32).to(context);
  return file.load(name, context);
}

void Checkpoint::verify() const {
  for (const auto& reader : readers_) reader->verify();
}

namespace {

// Cuts the list into runs of at most `limit` bytes; a tensor that is larger stands alone.
std::vector<std::vector<OutgoingTensor>> shards_of(const std::vector<OutgoingTensor>& tensors, int64_t limit) {
  std::vector<std::vector<OutgoingTensor>> shards(1);
  int64_t bytes = 0;
  for (const OutgoingTensor& t : tensors) {
    if (bytes > 0 && bytes + t.bytes() > limit) shards.emplace_back(), bytes = 0;
    shards.back().push_back(t);
    bytes += t.bytes();
  }
  return shards;
}

bool is_weights_file(const std::string& name) {
  const bool shard = name.starts_with("model-") && name.ends_with(".safetensors") && name.find("-of-") != std::string::npos;
  return name == single_file || name == index_file || shard;
}

void remove_older(const fs::path& folder, const std::set<std::string>& written) {
  std::vector<fs::path> older;
  for (const auto& entry : fs::directory_iterator(folder))
    if (const std::string name = entry.path().filename().string(); is_weights_file(name) && !written.count(name)) older.push_back(entry.path());
  for (const fs::path& file : older) fs::remove(file);
}

}  // namespace

void save_weights(const fs::path& folder, const std::vector<OutgoingTensor>& tensors, const SaveOptions& options) {
  require(options.shard_bytes > 0, "save: shards of {} bytes are not possible", options.shard_bytes);
  const auto shards = shards_of(tensors, options.shard_bytes);
  if (shards.size() == 1) {
    write_safetensors(folder / single_file, tensors, options.metadata);
    return remove_older(folder, {single_file});
  }
  Json index{{"metadata", {{"total_size", 0}}}, {"weight_map", Json::object()}};
  int64_t total = 0;
  std::set<std::string> written{index_file};
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string file = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, shards.size());
    write_safetensors(folder / file, shards[i], options.metadata);
    written.insert(file);
    for (const OutgoingTensor& t : shards[i]) index["weight_map"][t.name] = file, total += t.bytes();
  }
  index["metadata"]["total_size"] = total;
  write_atomically(folder / index_file, index.dump(2) + "\n");
  remove_older(folder, written);
}

}  // namespace alinea
