#include "data/features/store.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <iterator>
#include <nlohmann/json.hpp>

#include "data/features/half.h"
#include "engine/core/error.h"

namespace alinea {

FeatureWriter::FeatureWriter(const std::filesystem::path& folder, const std::string& split, int64_t bins)
    : binary_(folder / (split + ".f16")), index_(folder / (split + ".json")), file_(binary_, std::ios::binary), bins_(bins) {
  require(file_.good(), "features {}: cannot be written; check the folder and its permissions", binary_.string());
}

void FeatureWriter::add(const std::string& id, std::span<const uint16_t> frames) {
  file_.write(reinterpret_cast<const char*>(frames.data()), int64_t(frames.size_bytes()));
  ids_.push_back(id), frames_.push_back(int64_t(frames.size()) / bins_);
}

void FeatureWriter::finish() {
  file_.close();
  std::ofstream index(index_);
  index << nlohmann::json{{"bins", bins_}, {"ids", ids_}, {"frames", frames_}}.dump() << '\n';
  index.close();
  if (!file_.good() || !index.good()) fail(Exit::failed, "features {}: could not be written whole; is the disk full?", binary_.string());
}

bool FeatureFile::exists(const std::filesystem::path& folder, const std::string& split) {
  return std::filesystem::exists(folder / (split + ".f16")) || std::filesystem::exists(folder / (split + ".json"));
}

FeatureFile::FeatureFile(const std::filesystem::path& folder, const std::string& split) {
  const std::filesystem::path index = folder / (split + ".json"), binary = folder / (split + ".f16");
  std::ifstream stream(index);
  require_data(stream.good(), "features {}: cannot be opened; prepare the data again", index.string());
  std::vector<int64_t> frames;
  try {
    const auto json = nlohmann::json::parse(stream);
    bins_ = json.at("bins"), ids_ = json.at("ids").get<std::vector<std::string>>(), frames = json.at("frames").get<std::vector<int64_t>>();
  } catch (const nlohmann::json::exception& error) {
    fail(Exit::data, "features {}: {}; prepare the data again", index.string(), error.what());
  }
  require_data(frames.size() == ids_.size() && bins_ > 0, "features {}: {} ids but {} lengths; prepare the data again", index.string(), ids_.size(),
               frames.size());
  begin_.assign(1, 0);
  for (const int64_t n : frames) {
    require_data(n >= 0, "features {}: a length is {}; prepare the data again", index.string(), n);
    begin_.push_back(begin_.back() + n);
  }
  bytes_ = begin_.back() * bins_ * int64_t(sizeof(uint16_t));
  std::error_code error;
  const auto found = std::filesystem::file_size(binary, error);
  require_data(!error && int64_t(found) == bytes_, "features {}: {} bytes; the index promises {}: the file is cut or of another corpus; prepare the data again",
               binary.string(), error ? 0 : found, bytes_);
  if (bytes_ == 0) return;
  const int descriptor = open(binary.c_str(), O_RDONLY | O_CLOEXEC);
  require_data(descriptor >= 0, "features {}: cannot be opened; check its permissions", binary.string());
  void* map = mmap(nullptr, size_t(bytes_), PROT_READ, MAP_SHARED, descriptor, 0);
  close(descriptor);
  require_data(map != MAP_FAILED, "features {}: {} bytes cannot be mapped into memory; raise the limit (ulimit -v)", binary.string(), bytes_);
  values_ = static_cast<const uint16_t*>(map);
}

FeatureFile& FeatureFile::operator=(FeatureFile&& other) noexcept {
  std::swap(ids_, other.ids_), std::swap(begin_, other.begin_), std::swap(bins_, other.bins_), std::swap(bytes_, other.bytes_);
  std::swap(values_, other.values_);
  return *this;
}

FeatureFile::~FeatureFile() {
  if (values_) munmap(const_cast<uint16_t*>(values_), size_t(bytes_));
}

std::vector<float> FeatureFile::read(int64_t i) const {
  std::vector<float> out(frames(i) * bins_);
  from_half({values_ + begin_[i] * bins_, out.size()}, out.data());
  return out;
}

}  // namespace alinea
