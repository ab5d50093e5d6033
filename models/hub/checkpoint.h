// The weights of a model, in one file or in shards that an index lists, as save_pretrained and torch.save write them.
#pragma once
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "models/hub/safetensors.h"

namespace alinea {

class Checkpoint {
 public:
  /// A weights file (.safetensors, .bin, .pt), an index of shards (….index.json), or a folder with, in this order of preference,
  /// model.safetensors, model.safetensors.index.json, pytorch_model.bin, pytorch_model.bin.index.json.
  /// Error{data}: nothing of that there, a damaged file, a shard that is missing, a tensor that the index promises and no shard holds, or
  /// that two shards hold.
  static Checkpoint open(const std::filesystem::path& path);
  /// As open(folder) would find it; empty when the folder holds no weights.
  static std::filesystem::path weights_of(const std::filesystem::path& folder);

  const std::string& place() const { return place_; }
  const std::vector<std::filesystem::path>& files() const { return files_; }
  const Metadata& metadata() const { return metadata_; }
  const std::vector<TensorEntry>& entries() const { return entries_; }   // in the order of the files
  bool has(const std::string& name) const { return index_.count(name) > 0; }
  const TensorEntry& entry(const std::string& name) const;

  enum class Bf16 { widen, keep };
  /// On the CPU over the memory of the mapped file, without a copy, where it holds F32, BF16 that is kept, F64 or integers (aligned and
  /// row-major, as they are written). F16 becomes f32, and so does BF16 unless kept. The memory lives as long as the tensor.
  Tensor load(const std::string& name, Context& context, Bf16 bf16 = Bf16::widen) const;
  /// Reads everything once and refuses damage that only the elements show.
  void verify() const;

 private:
  void add(const std::filesystem::path& file);
  void add_shards(const std::filesystem::path& index);

  std::string place_;
  std::vector<std::filesystem::path> files_;
  std::vector<std::unique_ptr<TensorFile>> readers_;
  std::vector<TensorEntry> entries_;
  std::vector<size_t> reader_of_;                           // of each entry
  std::map<std::string, size_t> index_;
  Metadata metadata_;
};

struct SaveOptions {
  int64_t shard_bytes = 5'000'000'000;                      // larger models become shards of at most this size, with an index
  Metadata metadata = {{"format", "pt"}};
};

/// model.safetensors, or model-00001-of-0000N.safetensors and model.safetensors.index.json, in a folder that exists. Every file is whole or
/// absent, the index comes last, and weights files of an older save are removed then.
void save_weights(const std::filesystem::path& folder, const std::vector<OutgoingTensor>& tensors, const SaveOptions& options = {});

}  // namespace alinea
