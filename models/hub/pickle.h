// Pickles (protocol 2) of plain PyTorch state dictionaries. This is no unpickler: nothing named in the file is called. Values are numbers,
// texts, tuples, lists and dictionaries; the only classes are those of a state dictionary, and each is turned into a value of ours:
//   collections.OrderedDict                                a dictionary
//   torch._utils._rebuild_tensor_v2, _rebuild_parameter    a PickledTensor
//   torch.FloatStorage, torch.HalfStorage, …               the dtype of a tensor's storage
// Any other opcode or class is an error that names it and its offset.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/shape.h"

namespace alinea {

/// A view of a storage: element (i, j, …) is number offset + i·strides[0] + j·strides[1] + …
struct PickledTensor {
  std::string name;
  std::string storage, dtype;                               // record data/<storage>; dtype as safetensors spells it
  int64_t storage_count = 0;                                // elements of the whole storage
  int64_t offset = 0;
  Shape shape, strides;
};

/// The tensors of a pickled dictionary of tensors, in its order. Every view is checked to lie in its storage and to name no element more
/// often than the storage has elements. `place` names the file in messages.
std::vector<PickledTensor> read_state_dictionary(std::string_view pickle, const std::string& place);

}  // namespace alinea
