#include "engine/emulation/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace alinea::emulation {

namespace {

constexpr size_t guard = 256, page = 4096;

class Arena {
 public:
  Arena() : base_(static_cast<char*>(mmap(nullptr, device_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    if (base_ == MAP_FAILED) std::abort();
    free_[0] = device_bytes;
  }

  void open() {
    mutex_.lock();
    if (++open_ == 1) protect(PROT_READ | PROT_WRITE);
  }
  void close() {
    if (--open_ == 0) protect(PROT_NONE);
    mutex_.unlock();
  }

  void* allocate(size_t bytes) {
    const size_t whole = (bytes + 2 * guard + guard - 1) / guard * guard;
    const auto place = std::find_if(free_.begin(), free_.end(), [&](const auto& f) { return f.second >= whole; });
    if (place == free_.end()) return nullptr;
    const auto [at, size] = *place;
    free_.erase(place);
    if (size > whole) free_[at + whole] = size - whole;
    if (at + whole > end_) {
      end_ = (at + whole + page - 1) / page * page;
      protect(PROT_READ | PROT_WRITE);
    }
    std::memset(base_ + at, 0xFF, whole);
    pieces_[at] = {whole, bytes};
    used_ += whole;
    reserved_ = std::max(reserved_, used_);
    return base_ + at + guard;
  }

  void release(void* p) {
    const auto piece = pieces_.find(size_t(static_cast<char*>(p) - base_) - guard);
    if (piece == pieces_.end()) std::abort();
    size_t at = piece->first, size = piece->second.whole;
    std::memset(base_ + at, 0xFF, size);                     // whoever still reads it gets NaN
    pieces_.erase(piece);
    used_ -= size;
    auto next = free_.upper_bound(at);
    if (next != free_.end() && next->first == at + size) size += next->second, next = free_.erase(next);
    if (next != free_.begin())
      if (const auto before = std::prev(next); before->first + before->second == at) {
        before->second += size;
        return;
      }
    free_[at] = size;
  }

  std::string damaged_guard() const {
    auto intact = [](const char* from, size_t n) { return std::all_of(from, from + n, [](char c) { return c == char(0xFF); }); };
    for (const auto& [at, piece] : pieces_) {
      const char* first = base_ + at + guard;
      if (!intact(first - guard, guard)) return fmt::format("wrote before the first element of {} bytes of memory", piece.bytes);
      if (!intact(first + piece.bytes, piece.whole - guard - piece.bytes)) return fmt::format("wrote behind the last element of {} bytes of memory", piece.bytes);
    }
    return {};
  }

  size_t used() const { return used_; }
  size_t reserved() const { return reserved_; }

 private:
  struct Piece {
    size_t whole, bytes;
  };
  void protect(int how) const {
    if (end_ > 0) mprotect(base_, end_, how);
  }

  char* base_;
  std::map<size_t, size_t> free_;                            // offset → bytes
  std::map<size_t, Piece> pieces_;                           // offset of the guard in front
  size_t end_ = 0, used_ = 0, reserved_ = 0;
  std::recursive_mutex mutex_;                               // held while device memory is open
  int open_ = 0;
};

Arena& arena() {
  static auto* a = new Arena;                                // never destroyed: tensors with static lifetime may outlive main()
  return *a;
}

}  // namespace

Access::Access() { arena().open(); }
Access::~Access() { arena().close(); }

void* allocate(size_t bytes) {
  const Access access;
  return arena().allocate(bytes);
}

void release(void* p) {
  const Access access;
  arena().release(p);
}

size_t bytes_used() { return arena().used(); }
size_t bytes_reserved() { return arena().reserved(); }
std::string damaged_guard() { return arena().damaged_guard(); }

}  // namespace alinea::emulation
