// Features of one split in one file: SPLIT.f16 holds the frames of all utterances one after the other (16-bit floats, [frames, bins]),
// SPLIT.json says how many each has. Read through a memory map: opening costs nothing, and several processes share the pages.
#pragma once
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace alinea {

/// Log-mel values are stored and modelled as (x − shift) / scale with these constants: no statistics, so a stream gives the same values.
struct FeatureScale {
  float shift = 13, scale = 4;
  void apply(std::span<float> x) const {
    for (float& v : x) v = (v - shift) * (1.0f / scale);
  }
};

class FeatureWriter {
 public:
  /// Writes folder/split.f16 and, in finish(), folder/split.json.
  FeatureWriter(const std::filesystem::path& folder, const std::string& split, int64_t bins);
  void add(const std::string& id, std::span<const uint16_t> frames);
  void finish();

 private:
  std::filesystem::path binary_, index_;
  std::ofstream file_;
  int64_t bins_;
  std::vector<std::string> ids_;
  std::vector<int64_t> frames_;
};

class FeatureFile {
 public:
  /// Throws Error{data} if the index is broken or the file's size is not what the index says.
  FeatureFile(const std::filesystem::path& folder, const std::string& split);
  FeatureFile(FeatureFile&& other) noexcept { *this = std::move(other); }
  FeatureFile& operator=(FeatureFile&& other) noexcept;
  ~FeatureFile();
  static bool exists(const std::filesystem::path& folder, const std::string& split);

  int64_t size() const { return int64_t(ids_.size()); }
  int64_t bins() const { return bins_; }
  const std::string& id(int64_t i) const { return ids_[i]; }
  int64_t frames(int64_t i) const { return begin_[i + 1] - begin_[i]; }
  /// [frames(i), bins]
  std::vector<float> read(int64_t i) const;

 private:
  std::vector<std::string> ids_;
  std::vector<int64_t> begin_;
  int64_t bins_ = 0, bytes_ = 0;
  const uint16_t* values_ = nullptr;
};

}  // namespace alinea
