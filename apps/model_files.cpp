#include "apps/model_files.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "engine/core/files.h"
#include "models/hub/json_file.h"

namespace alinea {

namespace fs = std::filesystem;

namespace {

// Weights in any format, and what the training of a run keeps beside them.
bool goes_with_weights(const fs::path& file) {
  constexpr std::array weights{".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack", ".onnx", ".ot"};
  constexpr std::array training{"DONE", "checkpoint.json", "trainer.json", "lock"};
  const std::string name = file.filename().string(), extension = file.extension().string();
  return std::find(weights.begin(), weights.end(), extension) == weights.end() && std::find(training.begin(), training.end(), name) == training.end() &&
         !name.ends_with(".index.json") && !name.starts_with(".");
}

// config.json tells transformers in which dtype to load: it must follow the weights.
std::string with_dtype(const fs::path& config, const std::string& dtype) {
  nlohmann::ordered_json json = read_json(config);
  for (const char* key : {"dtype", "torch_dtype"})
    if (json.is_object() && json.contains(key)) json[key] = dtype;
  return json.dump(2) + "\n";
}

// The dtype of all floating tensors as transformers spells it; empty when they differ.
std::string common_dtype(const std::vector<OutgoingTensor>& tensors) {
  std::string found;
  for (const OutgoingTensor& t : tensors) {
    if (!is_floating(t.dtype)) continue;
    if (!found.empty() && found != t.dtype) return "";
    found = t.dtype;
  }
  return found == "F32" ? "float32" : found == "F16" ? "float16" : found == "BF16" ? "bfloat16" : "";
}

void copy_companions(const fs::path& from, const fs::path& to, const std::string& dtype) {
  for (const auto& entry : fs::directory_iterator(from)) {
    if (!entry.is_regular_file() || !goes_with_weights(entry.path())) continue;
    const bool config = entry.path().filename() == "config.json" && !dtype.empty();
    write_atomically(to / entry.path().filename(), config ? with_dtype(entry.path(), dtype) : read_file(entry.path()));
  }
}

}  // namespace

void refuse_existing(const fs::path& out, std::string_view command) {
  require(!fs::exists(fs::symlink_status(out)), "{}: {} exists already; choose another name or remove it", command, out.string());
}

bool is_weights_path(const fs::path& out) { return out.extension() == ".safetensors"; }

void write_model(const fs::path& out, const std::vector<OutgoingTensor>& tensors, const SaveOptions& options, const fs::path& source) {
  const fs::path absolute = fs::absolute(out).lexically_normal(), target = absolute.has_filename() ? absolute : absolute.parent_path();
  make_folder(target.parent_path());
  if (is_weights_path(target)) return write_safetensors(target, tensors, options.metadata);
  const fs::path hidden = target.parent_path() / fmt::format(".{}.{}.tmp", target.filename().string(), ::getpid());
  try {
    make_folder(hidden);
    save_weights(hidden, tensors, options);
    const fs::path folder = fs::is_directory(source) ? source : fs::absolute(source).parent_path();
    if (fs::is_directory(source) || fs::exists(folder / "config.json")) copy_companions(folder, hidden, common_dtype(tensors));
    flush_to_disk(hidden);
    fs::rename(hidden, target);
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(hidden, ignored);
    throw;
  }
  flush_to_disk(target.parent_path());
}

std::string file_dtype_of(const std::string& dtype) { return dtype == "fp16" ? "F16" : dtype == "bf16" ? "BF16" : "F32"; }

bool is_floating(const std::string& dtype) { return dtype == "F32" || dtype == "F16" || dtype == "BF16" || dtype == "F64"; }

int64_t bytes_of_size(const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  std::string unit(end, text.data() + text.size());
  unit.erase(0, unit.find_first_not_of(' '));
  constexpr std::array units{std::pair{"", 1.0}, std::pair{"B", 1.0}, std::pair{"kB", 1e3}, std::pair{"KB", 1e3}, std::pair{"MB", 1e6}, std::pair{"GB", 1e9}, std::pair{"TB", 1e12}};
  const auto it = std::find_if(units.begin(), units.end(), [&](const auto& u) { return unit == u.first; });
  const double bytes = it == units.end() ? 0 : value * it->second;
  require(error == std::errc() && bytes >= 1 && bytes <= 9e18, "size '{}': expected a number with kB, MB, GB or TB, e.g. 2GB", text);
  return int64_t(bytes);
}

}  // namespace alinea
