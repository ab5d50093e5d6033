// safetensors: a JSON header (names, dtypes, shapes, byte ranges) and the raw little-endian data after it.
// The reader maps the file and checks every offset, shape, dtype, hole and overlap before a byte is used; errors name file and tensor.
#pragma once
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "models/hub/tensor_file.h"

namespace alinea {

/// Tensors in the order in which they are written.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using Metadata = std::map<std::string, std::string>;

class SafetensorsFile final : public TensorFile {
 public:
  explicit SafetensorsFile(const std::filesystem::path& path) : SafetensorsFile(FileBytes::mapped(path)) {}
  explicit SafetensorsFile(FileBytes file);

  const std::string& place() const override { return file_.place; }
  const std::vector<TensorEntry>& entries() const override { return entries_; }
  const Metadata& metadata() const override { return metadata_; }
  bool has(const std::string& name) const { return index_.count(name) > 0; }
  Tensor load(const std::string& name, Context& context) const override;
  NamedTensors load_all(Context& context) const;

 private:
  FileBytes file_;
  std::vector<TensorEntry> entries_;
  std::vector<int64_t> begins_;                             // of each entry, in the file
  std::map<std::string, size_t> index_;
  Metadata metadata_;
};

/// A tensor on its way into a file: `load` is called when its turn comes, so that only one of them need be in memory.
struct OutgoingTensor {
  std::string name, dtype;                                  // as the file spells it; f32 and f64 tensors are converted to F32, F16 or BF16
  Shape shape;
  std::function<Tensor()> load;

  int64_t bytes() const { return shape.count() * bits_of_file_dtype(dtype) / 8; }
};
std::vector<OutgoingTensor> outgoing(const NamedTensors& tensors);

/// Writes the file whole or not at all. Errors: data when the disk is full, or a value does not fit F16.
void write_safetensors(const std::filesystem::path& path, const std::vector<OutgoingTensor>& tensors, const Metadata& metadata = {});
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const Metadata& metadata = {});

}  // namespace alinea
