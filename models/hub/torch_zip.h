// What torch.save(model.state_dict()) writes since PyTorch 1.6: a zip archive with a pickle of names, sizes and strides (ROOT/data.pkl) and
// one record per storage (ROOT/data/KEY). Tensors may share a storage (tied weights) and be views of it.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "models/hub/pickle.h"
#include "models/hub/zip_archive.h"

namespace alinea {

class TorchZip final : public TensorFile {
 public:
  /// Error{data}: a damaged archive, a pickle that is more than a state dictionary, a storage that is missing or of another size.
  explicit TorchZip(FileBytes file);

  const std::string& place() const override { return archive_.file().place; }
  const std::vector<TensorEntry>& entries() const override { return entries_; }
  const std::map<std::string, std::string>& metadata() const override { return metadata_; }
  Tensor load(const std::string& name, Context& context) const override;
  void verify() const override;

 private:
  void refuse_other_archives() const;
  const ZipArchive::Record& storage(const PickledTensor& t) const;

  ZipArchive archive_;
  std::string root_;                                        // "archive/"
  std::vector<PickledTensor> tensors_;
  std::vector<TensorEntry> entries_;
  std::map<std::string, size_t> index_;
  std::map<std::string, std::string> metadata_;             // a state dictionary has none
};

}  // namespace alinea
