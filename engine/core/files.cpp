#include "engine/core/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "engine/core/error.h"

namespace alinea {
namespace fs = std::filesystem;
namespace {

[[noreturn]] void refuse(const fs::path& path, const char* action) {
  const int code = errno;
  const char* fix = code == ENOSPC || code == EDQUOT  ? "; the disk is full: free some space or choose another folder"
                    : code == EROFS                   ? "; the disk is mounted read-only: choose another folder"
                    : code == EACCES || code == EPERM ? "; check the permissions of the file and its folder"
                    : code == ENOENT                  ? "; check the path"
                                                      : "";
  fail(Exit::data, "{}: {} failed: {}{}", path.string(), action, std::strerror(code), fix);
}

// A file descriptor that closes itself.
struct Descriptor {
  int fd;
  explicit Descriptor(int fd) : fd(fd) {}
  Descriptor(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

void write_all(int fd, std::string_view bytes, const fs::path& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse(path, "writing");
    bytes.remove_prefix(size_t(n));
  }
}

fs::path folder_of(const fs::path& path) { return path.has_parent_path() ? path.parent_path() : fs::path("."); }

// Unique per process, so two programs writing the same path never share a temporary file.
fs::path temporary_name(const fs::path& path) { return folder_of(path) / fmt::format(".{}.{}.tmp", path.filename().string(), ::getpid()); }

}  // namespace

std::string read_file(const fs::path& path) {
  Descriptor in(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.fd < 0) refuse(path, "opening");
  std::string bytes;
  struct stat status;
  if (::fstat(in.fd, &status) == 0 && status.st_size > 0) bytes.reserve(size_t(status.st_size));
  char buffer[1 << 16];
  while (true) {
    const ssize_t n = ::read(in.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) refuse(path, "reading");
    if (n == 0) return bytes;
    bytes.append(buffer, size_t(n));
  }
}

AtomicFile::AtomicFile(const fs::path& path)
    : path_(path), temporary_(temporary_name(path)), file_(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
  if (file_ < 0) refuse(path, "creating");
}

AtomicFile::~AtomicFile() {
  if (file_ >= 0) ::close(file_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::string_view bytes) { write_all(file_, bytes, path_); }

void AtomicFile::commit() {
  if (::fsync(file_) != 0) refuse(path_, "flushing to disk");
  if (::close(std::exchange(file_, -1)) != 0) refuse(path_, "closing");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) refuse(path_, "replacing");
  temporary_.clear();
  flush_to_disk(folder_of(path_));
}

void write_atomically(const fs::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

void append_file(const fs::path& path, std::string_view bytes) {
  Descriptor out(::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (out.fd < 0) refuse(path, "opening for appending");
  write_all(out.fd, bytes, path);
}

void flush_to_disk(const fs::path& path) {
  Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.fd < 0) refuse(path, "opening");
  if (::fsync(file.fd) != 0 && errno != EINVAL) refuse(path, "flushing to disk");  // EINVAL: a file system without fsync for folders
}

void point_link(const fs::path& link, const fs::path& target) {
  const fs::path temporary = temporary_name(link);
  ::unlink(temporary.c_str());
  if (::symlink(target.c_str(), temporary.c_str()) != 0) refuse(link, "making the link");
  if (::rename(temporary.c_str(), link.c_str()) != 0) {
    const int code = errno;
    ::unlink(temporary.c_str());
    errno = code;
    refuse(link, "replacing the link");
  }
  flush_to_disk(folder_of(link));
}

void make_folder(const fs::path& path) {
  std::error_code code;
  fs::create_directories(path, code);
  if (!code && fs::is_directory(path, code)) return;
  errno = code ? code.value() : ENOTDIR;
  refuse(path, "making the folder");
}

uint64_t free_space(const fs::path& path) {
  fs::path existing = fs::absolute(path);
  while (!fs::exists(existing) && existing.has_relative_path()) existing = existing.parent_path();
  struct statvfs status;
  if (::statvfs(existing.c_str(), &status) != 0) refuse(existing, "asking for free space");
  return uint64_t(status.f_bavail) * status.f_frsize;
}

MappedFile::MappedFile(const fs::path& path) {
  Descriptor in(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (in.fd < 0) refuse(path, "opening");
  struct stat status;
  if (::fstat(in.fd, &status) != 0) refuse(path, "asking for the size");
  require_data(S_ISREG(status.st_mode), "{}: not a regular file, so it can't be mapped", path.string());
  size_ = size_t(status.st_size);
  if (size_ == 0) return;  // an empty file can't be mapped, and needs no pages
  void* at = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, in.fd, 0);
  if (at == MAP_FAILED) refuse(path, "mapping");
  data_ = static_cast<std::byte*>(at);
}

MappedFile::~MappedFile() {
  if (data_) ::munmap(data_, size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace alinea
