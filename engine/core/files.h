// Files that are either whole or absent. All errors are Exit::data and name the path, what the system answered and the fix.
#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace alinea {

/// The bytes of a file.
std::string read_file(const std::filesystem::path& path);

/// Writes under a temporary name beside `path`; commit() flushes to disk, renames, flushes the folder: after a crash or power cut the file
/// holds either the old bytes or the new ones. The folder must exist. Without commit() the temporary file is removed and `path` untouched.
class AtomicFile {
 public:
  explicit AtomicFile(const std::filesystem::path& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  void write(std::string_view bytes);
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int file_ = -1;
};

/// All bytes of an AtomicFile at once.
void write_atomically(const std::filesystem::path& path, std::string_view bytes);

/// Appends bytes to a file, made when missing; the bytes have reached the system (not the disk) on return.
void append_file(const std::filesystem::path& path, std::string_view bytes);

/// Flushes a file or a folder (its list of names) to disk.
void flush_to_disk(const std::filesystem::path& path);

/// Makes `link` point to `target` (a name in the same folder, or a path), replacing an older link in one step.
void point_link(const std::filesystem::path& link, const std::filesystem::path& target);

/// Makes a folder and the folders above it.
void make_folder(const std::filesystem::path& path);

/// Bytes that this user may still write on the disk that holds `path` (or its nearest existing parent).
uint64_t free_space(const std::filesystem::path& path);

/// A file mapped into memory: pages are loaded when touched and shared between processes. Writing through data() changes a private copy
/// of the page (copy on write), never the file. The bytes live as long as the object.
class MappedFile {
 public:
  MappedFile() = default;
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  std::span<const std::byte> bytes() const { return {data_, size_}; }
  std::string_view text() const { return {reinterpret_cast<const char*>(data_), size_}; }
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace alinea
