#include "models/hub/torch_zip.h"

#include <algorithm>
#include <cstring>
#include <tuple>

namespace alinea {

namespace {

bool row_major(const PickledTensor& t) {
  int64_t step = 1;
  for (int i = t.shape.rank; i-- > 0;) {
    if (t.shape.dim[i] != 1 && t.strides.dim[i] != step) return t.shape.count() == 0;
    step *= t.shape.dim[i];
  }
  return true;
}

using View = std::tuple<std::string, int64_t, std::vector<int64_t>>;
View view_of(const PickledTensor& t) {
  std::vector<int64_t> axes(t.shape.dim.begin(), t.shape.dim.begin() + t.shape.rank);
  axes.insert(axes.end(), t.strides.dim.begin(), t.strides.dim.begin() + t.strides.rank);
  return {t.storage, t.offset, std::move(axes)};
}

// The elements of a view in row-major order. `size`: bytes of an element.
std::vector<std::byte> gathered(const PickledTensor& t, std::span<const std::byte> storage, int64_t size) {
  const int64_t count = t.shape.count();
  std::vector<std::byte> out(size_t(count * size));
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, at = t.offset;
    for (int a = t.shape.rank; a-- > 0;) at += rest % t.shape.dim[a] * t.strides.dim[a], rest /= t.shape.dim[a];
    std::memcpy(out.data() + i * size, storage.data() + at * size, size_t(size));
  }
  return out;
}

}  // namespace

TorchZip::TorchZip(FileBytes file) : archive_(std::move(file)) {
  const auto& records = archive_.records();
  const auto pickle = std::find_if(records.begin(), records.end(), [](const ZipArchive::Record& r) { return r.name == "data.pkl" || (r.name.ends_with("/data.pkl") && r.name.find('/') == r.name.size() - 9); });
  require_data(pickle != records.end(), "{}: a zip archive without data.pkl; not written by torch.save", place());
  root_ = pickle->name.substr(0, pickle->name.size() - 8);
  refuse_other_archives();
  const std::span<std::byte> bytes = archive_.bytes(*pickle);
  tensors_ = read_state_dictionary({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, place());
  std::map<View, std::string> first;                        // name of the first tensor that is this view
  for (const PickledTensor& t : tensors_) {
    storage(t);
    index_[t.name] = entries_.size();
    entries_.push_back({t.name, t.dtype, t.shape, t.shape.count() * bits_of_file_dtype(t.dtype) / 8});
    if (const auto [it, is_new] = first.emplace(view_of(t), t.name); !is_new) entries_.back().same_as = it->second;
  }
}

void TorchZip::refuse_other_archives() const {
  require_data(!archive_.find(root_ + "constants.pkl"), "{}: a TorchScript program, not a state dictionary; save model.state_dict()", place());
  const ZipArchive::Record* order = archive_.find(root_ + "byteorder");
  if (!order) return;
  const std::span<const std::byte> bytes = archive_.bytes(*order);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  require_data(text == "little", "{}: its byte order is '{}', little is expected", place(), shown(text));
}

const ZipArchive::Record& TorchZip::storage(const PickledTensor& t) const {
  const ZipArchive::Record* record = archive_.find(root_ + "data/" + t.storage);
  require_data(record != nullptr, "{}: tensor '{}' lies in storage '{}', which is missing; the file is damaged", place(), shown(t.name), shown(t.storage));
  const uint64_t size = uint64_t(bits_of_file_dtype(t.dtype) / 8);
  require_data(record->bytes % size == 0 && record->bytes / size == uint64_t(t.storage_count), "{}: tensor '{}' needs a storage of {} {} elements, record '{}' has {} bytes", place(),
               shown(t.name), t.storage_count, t.dtype, shown(record->name), record->bytes);
  return *record;
}

Tensor TorchZip::load(const std::string& name, Context& context) const {
  const auto it = index_.find(name);
  require_data(it != index_.end(), "{}: there is no tensor '{}'", place(), shown(name));
  const PickledTensor& t = tensors_[it->second];
  const TensorEntry& entry = entries_[it->second];
  const std::span<std::byte> whole = archive_.bytes(storage(t));
  const int64_t size = bits_of_file_dtype(t.dtype) / 8;
  if (entry.bytes == 0) return tensor_of(entry, archive_.file(), {}, context);
  if (row_major(t)) return tensor_of(entry, archive_.file(), whole.subspan(size_t(t.offset * size), size_t(entry.bytes)), context);
  auto copy = std::make_shared<std::vector<std::byte>>(gathered(t, whole, size));
  return tensor_of(entry, {place(), *copy, copy}, *copy, context);
}

void TorchZip::verify() const {
  for (const ZipArchive::Record& r : archive_.records()) archive_.bytes(r);
}

}  // namespace alinea
