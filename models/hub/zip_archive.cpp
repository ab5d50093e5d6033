#include "models/hub/zip_archive.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>

namespace alinea {

namespace {

// Little-endian numbers at a position of a text; the caller has checked that they lie inside.
template <class T>
T number(std::string_view text, size_t at) {
  T value;
  std::memcpy(&value, text.data() + at, sizeof value);
  return value;
}
uint16_t u16(std::string_view text, size_t at) { return number<uint16_t>(text, at); }
uint32_t u32(std::string_view text, size_t at) { return number<uint32_t>(text, at); }
uint64_t u64(std::string_view text, size_t at) { return number<uint64_t>(text, at); }

constexpr size_t end_bytes = 22, locator_bytes = 20, end64_bytes = 56, entry_bytes = 46, local_bytes = 30;

// The sizes of a record that do not fit 32 bits stand in its zip64 field (0x0001), in this order, each only if its 32-bit place is full.
bool widen(std::string_view extra, uint64_t& size, uint64_t& packed, uint64_t& local) {
  while (extra.size() >= 4) {
    const size_t n = u16(extra, 2);
    if (n > extra.size() - 4) return false;
    std::string_view field = extra.substr(4, n);
    if (u16(extra, 0) == 1)
      for (uint64_t* value : {&size, &packed, &local}) {
        if (*value != 0xFFFFFFFF) continue;
        if (field.size() < 8) return false;
        *value = u64(field, 0);
        field.remove_prefix(8);
      }
    extra.remove_prefix(4 + n);
  }
  return true;
}

bool is_end_record(std::string_view text, size_t at) { return text.substr(at, 4) == "PK\5\6" && at + end_bytes + u16(text, at + 20) == text.size(); }

}  // namespace

struct ZipArchive::Directory {
  uint64_t begin = 0, bytes = 0, entries = 0;
};

ZipArchive::Directory ZipArchive::find_directory() const {
  const std::string_view text = file_.text();
  const std::string& place = file_.place;
  require_data(text.size() >= end_bytes, "{}: {} bytes are too few for a zip archive", place, text.size());
  // The end record is followed by a comment of at most 65535 bytes, which reaches to the end of the file.
  const size_t least = text.size() - std::min<size_t>(text.size(), end_bytes + 65535);
  size_t end = text.size() - end_bytes;
  while (end > least && !is_end_record(text, end)) --end;
  require_data(is_end_record(text, end), "{}: the directory at the end of the zip archive is missing; the file is truncated", place);
  require_data(u16(text, end + 4) == u16(text, end + 6), "{}: one part of a split zip archive", place);
  Directory d{u32(text, end + 16), u32(text, end + 12), u16(text, end + 10)};
  uint64_t limit = end;
  if (end >= locator_bytes && text.substr(end - locator_bytes, 4) == "PK\6\7") {
    const uint64_t at = u64(text, end - locator_bytes + 8);
    require_data(at <= end - locator_bytes && end - locator_bytes - at >= end64_bytes && text.substr(at, 4) == "PK\6\6", "{}: the zip64 end record is damaged", place);
    d = {u64(text, at + 48), u64(text, at + 40), u64(text, at + 32)};
    limit = at;
  }
  require_data(d.begin <= limit && d.bytes <= limit - d.begin, "{}: the zip directory lies at {} + {} bytes, outside of the file", place, d.begin, d.bytes);
  return d;
}

void ZipArchive::read_record(std::string_view entry, std::string_view name, std::string_view extra) {
  const std::string who = fmt::format("{}: record '{}'", file_.place, shown(name));
  const std::string_view text = file_.text();
  uint64_t packed = u32(entry, 20), size = u32(entry, 24), local = u32(entry, 42);
  require_data((u16(entry, 8) & 1) == 0, "{} is encrypted", who);
  require_data(u16(entry, 10) == 0, "{} is compressed (method {}); torch.save stores records as they are: unpack the archive and pack it with zip -0", who, u16(entry, 10));
  require_data(widen(extra, size, packed, local), "{} has a damaged zip64 field", who);
  require_data(size == packed, "{} claims {} bytes in {} stored ones", who, size, packed);
  require_data(local <= text.size() && text.size() - local >= local_bytes && text.substr(local, 4) == "PK\3\4", "{} has no header at {}; the file is damaged", who, local);
  const uint64_t begin = local + local_bytes + u16(text, local + 26) + u16(text, local + 28);
  require_data(begin <= text.size() && size <= text.size() - begin, "{} lies at {} + {} bytes, the file has {}; it is truncated or damaged", who, begin, size, text.size());
  require_data(text.substr(local + local_bytes, u16(text, local + 26)) == name, "{} is called otherwise in its own header; the file is damaged", who);
  require_data(index_.emplace(name, records_.size()).second, "{} occurs twice", who);
  records_.push_back({std::string(name), begin, size, u32(entry, 16)});
}

void ZipArchive::refuse_overlaps(uint64_t directory) const {
  std::vector<const Record*> by_position;
  for (const Record& r : records_) by_position.push_back(&r);
  std::sort(by_position.begin(), by_position.end(), [](const Record* a, const Record* b) { return a->begin < b->begin; });
  uint64_t at = 0;
  for (const Record* r : by_position) {
    require_data(r->begin >= at && r->begin + r->bytes <= directory, "{}: record '{}' overlaps another one", file_.place, shown(r->name));
    at = r->begin + r->bytes;
  }
}

ZipArchive::ZipArchive(FileBytes file) : file_(std::move(file)) {
  const Directory d = find_directory();
  std::string_view rest = file_.text().substr(d.begin, d.bytes);
  for (uint64_t i = 0; i < d.entries; ++i) {
    require_data(rest.size() >= entry_bytes && rest.starts_with("PK\1\2"), "{}: entry {} of the zip directory is damaged", file_.place, i + 1);
    const size_t name = u16(rest, 28), extra = u16(rest, 30), comment = u16(rest, 32);
    require_data(name + extra + comment <= rest.size() - entry_bytes, "{}: entry {} of the zip directory is truncated", file_.place, i + 1);
    read_record(rest.substr(0, entry_bytes), rest.substr(entry_bytes, name), rest.substr(entry_bytes + name, extra));
    rest.remove_prefix(entry_bytes + name + extra + comment);
  }
  refuse_overlaps(d.begin);
}

const ZipArchive::Record* ZipArchive::find(const std::string& name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &records_[it->second];
}

std::span<std::byte> ZipArchive::bytes(const Record& record) const {
  const std::span<std::byte> bytes = file_.bytes.subspan(record.begin, record.bytes);
  if (!record.checked) {
    const uint32_t crc = uint32_t(crc32_z(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
    require_data(crc == record.crc, "{}: record '{}' has check sum {:08x}, its directory says {:08x}; the file is damaged, copy it again", file_.place, shown(record.name), crc, record.crc);
    record.checked = true;
  }
  return bytes;
}

}  // namespace alinea
