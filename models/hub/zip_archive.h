// Reading a zip archive whose records are stored, not compressed (what torch.save writes), with zip64 sizes (APPNOTE.TXT 4.3).
// Every offset and size is checked against the file, records may not overlap, and a record's check sum is compared before its first use.
#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "models/hub/tensor_file.h"

namespace alinea {

class ZipArchive {
 public:
  struct Record {
    std::string name;
    uint64_t begin = 0, bytes = 0;                          // in the file
    uint32_t crc = 0;
    mutable bool checked = false;
  };

  /// Error{data}: no zip, truncated, damaged, compressed, encrypted, split, overlapping records, a name twice.
  explicit ZipArchive(FileBytes file);
  const std::vector<Record>& records() const { return records_; }   // by position in the file
  const Record* find(const std::string& name) const;
  /// The bytes of a record, after its check sum has been compared once.
  std::span<std::byte> bytes(const Record& record) const;
  const FileBytes& file() const { return file_; }

 private:
  struct Directory;
  Directory find_directory() const;
  void read_record(std::string_view entry, std::string_view name, std::string_view extra);
  void refuse_overlaps(uint64_t directory) const;

  FileBytes file_;
  std::vector<Record> records_;
  std::map<std::string, size_t> index_;
};

}  // namespace alinea
