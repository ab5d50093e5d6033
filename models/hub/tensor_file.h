// A file that holds named tensors, whatever its format: safetensors or PyTorch's zip.
#pragma once
#include <cstddef>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/tensor.h"

namespace alinea {

/// One tensor of a file: its dtype as safetensors spells it (F32, BF16, I64, …), its elements without strides.
struct TensorEntry {
  std::string name, dtype;
  Shape shape;
  int64_t bytes = 0;                                        // of its elements in the file
  std::string same_as = {};                                 // an earlier tensor with the very same elements in the file (tied weights)
};

/// The bytes of a file and what keeps them alive. They may be written to: a mapping is private.
struct FileBytes {
  std::string place;                                        // how messages call the file
  std::span<std::byte> bytes;
  std::shared_ptr<const void> owner;

  static FileBytes mapped(const std::filesystem::path& path);
  static FileBytes copied(std::string place, std::string_view bytes);
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }
};

class TensorFile {
 public:
  virtual ~TensorFile() = default;
  virtual const std::string& place() const = 0;
  virtual const std::vector<TensorEntry>& entries() const = 0;   // in the order of the file
  virtual const std::map<std::string, std::string>& metadata() const = 0;
  /// On the CPU the elements of the file itself where they can be used as stored (aligned, row-major, a dtype of ours); else a copy.
  /// F16 becomes f32, BOOL u8.
  virtual Tensor load(const std::string& name, Context& context) const = 0;
  /// Reads what load() has not read yet and refuses damage that only the elements show (check sums).
  virtual void verify() const {}
};

/// Opens a .safetensors file or a PyTorch zip (.bin, .pt, .pth), told apart by their first bytes. Error{data} names what is damaged.
std::unique_ptr<TensorFile> open_tensor_file(FileBytes file);
std::unique_ptr<TensorFile> open_tensor_file(const std::filesystem::path& path);

/// Bits of one element of a dtype of safetensors; 0 for a name that it does not know.
int64_t bits_of_file_dtype(std::string_view dtype);
/// How safetensors spells a dtype of ours.
std::string_view file_dtype(DType dtype);
/// Elements of a file as a tensor: over the file's memory where that is possible, see TensorFile::load. `bytes` must fit entry.
Tensor tensor_of(const TensorEntry& entry, const FileBytes& file, std::span<std::byte> bytes, Context& context);

/// A name from a file for a message: at most 120 bytes, control characters and what is not UTF-8 replaced by '?'.
std::string shown(std::string_view name);
bool is_utf8(std::string_view text);

}  // namespace alinea
