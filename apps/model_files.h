// What convert and average share: a new place for a model, the files that go with the weights, sizes like 2GB.
#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "models/hub/checkpoint.h"

namespace alinea {

/// Error{usage} when something is there already: nothing is overwritten.
void refuse_existing(const std::filesystem::path& out, std::string_view command);

/// Whether a path means a single file of weights: its name ends with .safetensors.
bool is_weights_path(const std::filesystem::path& out);

/// Writes a model to a new file or folder. A folder gets the shards and, from the folder of `source` (a model folder, or a file in one),
/// everything beside the weights: configuration, vocabularies, texts (of a file: only if config.json lies beside it). The folder appears only when
/// it is complete.
void write_model(const std::filesystem::path& out, const std::vector<OutgoingTensor>& tensors, const SaveOptions& options, const std::filesystem::path& source);

/// The dtype "fp32", "fp16" or "bf16" as safetensors spells it.
std::string file_dtype_of(const std::string& dtype);
bool is_floating(const std::string& file_dtype);

/// "2GB", "500 MB", "1000000": decimal units. Error{usage} for anything else.
int64_t bytes_of_size(const std::string& text);

}  // namespace alinea
