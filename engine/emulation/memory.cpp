#include "engine/emulation/memory.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <map>
#include <mutex>
#include <vector>

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

namespace {

// Copies out of pinned memory, in order.
struct PutOff {
  struct Copy {
    void* to;
    const void* from;
    size_t bytes;
  };
  std::deque<Copy> copies;
  int64_t done = 0;
  std::vector<std::pair<const char*, size_t>> pinned;
  std::recursive_mutex mutex;
};

PutOff& put_off() {
  static auto* p = new PutOff;
  return *p;
}

}  // namespace

void* allocate_pinned(size_t bytes) {
  std::lock_guard lock(put_off().mutex);
  auto* p = static_cast<char*>(std::malloc(bytes));
  if (p) put_off().pinned.emplace_back(p, bytes);
  return p;
}

void copy_in(void* to, const void* from, size_t bytes) {
  PutOff& all = put_off();
  std::lock_guard lock(all.mutex);
  const auto* first = static_cast<const char*>(from);
  const bool pinned = std::any_of(all.pinned.begin(), all.pinned.end(), [&](const auto& p) { return p.first <= first && first + bytes <= p.first + p.second; });
  if (pinned) return all.copies.push_back({to, from, bytes});
  const Access access;
  std::memcpy(to, from, bytes);
}

int64_t copies_put_off() {
  std::lock_guard lock(put_off().mutex);
  return put_off().done + std::ssize(put_off().copies);
}

bool finish_copies(int64_t number) {
  PutOff& all = put_off();
  std::lock_guard lock(all.mutex);
  if (all.done >= number) return false;
  arena().open();
  for (; all.done < number; ++all.done, all.copies.pop_front()) std::memcpy(all.copies.front().to, all.copies.front().from, all.copies.front().bytes);
  arena().close();
  return true;
}

Access::Access() {
  finish_copies(copies_put_off());
  arena().open();
}
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
