// safetensors: a JSON header (names, dtypes, shapes, byte ranges) and the raw little-endian data after it.
// The reader maps the file and checks every offset, shape, dtype and overlap before a byte is used; errors name the file and the tensor.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/files.h"
#include "engine/core/tensor.h"

namespace alinea {

/// Tensors in the order in which they are written.
using NamedTensors = std::vector<std::pair<std::string, Tensor>>;

class SafetensorsFile {
 public:
  struct Entry {
    std::string name, dtype;                                // dtype as in the file: F32 F64 F16 BF16 I64 I32 U8 BOOL
    Shape shape;
    int64_t begin = 0, bytes = 0;                           // in the file
  };

  explicit SafetensorsFile(const std::filesystem::path& path);
  const std::vector<Entry>& entries() const { return entries_; }   // sorted by position in the file
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  bool has(const std::string& name) const;
  /// A copy on `context`. F16 becomes f32 and BOOL u8; the others keep their type.
  Tensor load(const std::string& name, Context& context) const;
  NamedTensors load_all(Context& context) const;

 private:
  const Entry& entry(const std::string& name) const;
  std::filesystem::path path_;
  MappedFile file_;
  std::vector<Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

/// The bytes of a file with these tensors (contiguous copies are made where needed).
std::string safetensors_bytes(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata = {});
/// Writes the file whole or not at all.
void write_safetensors(const std::filesystem::path& path, const NamedTensors& tensors, const std::map<std::string, std::string>& metadata = {});

}  // namespace alinea
