// alinea inspect: what a file of weights, a model folder or a run holds. Damaged files are refused with the reason (exit 3).
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/run_directory.h"
#include "models/hub/checkpoint.h"
#include "models/hub/json_file.h"

namespace alinea {

namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

json list_of(const Shape& shape) { return std::vector<int64_t>(shape.dim.begin(), shape.dim.begin() + shape.rank); }

// Reads every byte that has a check sum, so that damage shows here and not in training.
json examine_tensors(const fs::path& path) {
  const auto file = open_tensor_file(path);
  file->verify();
  json tensors = json::array(), dtypes = json::object();
  int64_t elements = 0, bytes = 0;
  for (const TensorEntry& e : file->entries()) {
    tensors.push_back({{"name", e.name}, {"dtype", e.dtype}, {"shape", list_of(e.shape)}, {"bytes", e.bytes}});
    if (!e.same_as.empty()) {
      tensors.back()["same_as"] = e.same_as;
      continue;
    }
    elements += e.shape.count();
    bytes += e.bytes;
    dtypes[e.dtype] = dtypes.value(e.dtype, int64_t(0)) + e.shape.count();
  }
  json j{{"file", path.string()}};
  if (!file->metadata().empty()) j["metadata"] = file->metadata();
  j["elements"] = elements;
  j["bytes"] = bytes;
  j["dtypes"] = dtypes;
  j["tensors"] = tensors;
  return j;
}

std::string list_dtypes(const json& dtypes) {
  std::string text;
  for (const auto& [dtype, count] : dtypes.items()) text += fmt::format("{}{} {}", text.empty() ? "" : ", ", count.get<int64_t>(), dtype);
  return text;
}

void print_tensors(const json& j) {
  TextTable table({{"name"}, {"dtype"}, {"shape"}, {"bytes", true}, {""}});
  for (const json& t : j["tensors"]) {
    std::string shape;
    for (const json& n : t["shape"]) shape += (shape.empty() ? "" : " × ") + std::to_string(n.get<int64_t>());
    table.row({shown(t["name"].get<std::string>()), t["dtype"].get<std::string>(), shape.empty() ? "scalar" : shape, std::to_string(t["bytes"].get<int64_t>()),
               t.contains("same_as") ? "= " + shown(t["same_as"].get<std::string>()) : ""});
  }
  fmt::print("{}: {} tensors, {} elements ({}), {}\n", j["file"].get<std::string>(), j["tensors"].size(), j["elements"].get<int64_t>(), list_dtypes(j["dtypes"]),
             show_bytes(j["bytes"].get<double>()));
  if (j.contains("metadata"))
    for (const auto& [k, v] : j["metadata"].items()) fmt::print("  {}: {}\n", shown(k), shown(v.get<std::string>()));
  fmt::print("{}", table.text());
}

std::vector<fs::path> tensor_files(const fs::path& folder) {
  std::vector<fs::path> files;
  if (!Checkpoint::weights_of(folder).empty()) files = Checkpoint::open(folder).files();
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors" && std::find(files.begin(), files.end(), entry.path()) == files.end()) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

// What config.json says about the architecture.
json examine_config(const fs::path& folder) {
  json summary = json::object();
  if (!fs::exists(folder / "config.json")) return summary;
  const json config = read_json(folder / "config.json");
  require_data(config.is_object(), "{}: not an object", (folder / "config.json").string());
  for (const char* key : {"model_type", "architectures", "hidden_size", "d_model", "num_hidden_layers", "encoder_layers", "decoder_layers", "num_attention_heads", "vocab_size", "dtype", "torch_dtype"})
    if (config.contains(key)) summary[key] = config[key];
  for (const char* part : {"encoder", "decoder"})
    if (config.contains(part) && config[part].is_object() && config[part].contains("model_type")) summary[part] = config[part]["model_type"];
  return summary;
}

// The architecture and, over all shards, what the weights are.
json summarize(const fs::path& place) {
  json summary{{"folder", place.string()}};
  const bool folder = fs::is_directory(place);
  if (const json config = examine_config(folder ? place : place.parent_path()); !config.empty()) summary["config"] = config;
  if (folder && Checkpoint::weights_of(place).empty()) return summary;
  const Checkpoint weights = Checkpoint::open(place);
  int64_t parameters = 0, bytes = 0;
  json dtypes = json::object();
  for (const TensorEntry& e : weights.entries()) {
    if (!e.same_as.empty()) continue;
    parameters += e.shape.count();
    bytes += e.bytes;
    dtypes[e.dtype] = dtypes.value(e.dtype, int64_t(0)) + e.shape.count();
  }
  summary["weights"] = {{"place", weights.place()}, {"files", weights.files().size()}, {"tensors", weights.entries().size()}, {"parameters", parameters}, {"bytes", bytes}, {"dtypes", dtypes}};
  return summary;
}

void print_summary(const json& summary) {
  fmt::print("{}\n", summary["folder"].get<std::string>());
  if (summary.contains("config"))
    for (const auto& [key, value] : summary["config"].items()) fmt::print("  {}: {}\n", key, value.is_string() ? shown(value.get<std::string>()) : shown(value.dump()));
  if (!summary.contains("weights")) return;
  const json& w = summary["weights"];
  fmt::print("  weights: {} parameters ({}), {} in {} file{}\n", w["parameters"].get<int64_t>(), list_dtypes(w["dtypes"]), show_bytes(w["bytes"].get<double>()), w["files"].get<int64_t>(),
             w["files"] == 1 ? "" : "s");
}

// `place`: a folder, or an index of shards.
int inspect_files(const fs::path& place, const std::vector<fs::path>& files, bool as_json) {
  require_data(!files.empty(), "{}: neither a run nor a folder with weights (.safetensors, pytorch_model.bin)", place.string());
  json summary = summarize(place);
  if (!as_json) print_summary(summary);
  json list = json::array();
  for (const fs::path& file : files) {
    list.push_back(examine_tensors(file));
    if (!as_json) print_tensors(list.back());
  }
  summary["files"] = list;
  if (as_json) print_json(summary);
  return 0;
}

int inspect_run(const fs::path& run, bool as_json) {
  const auto last = RunDirectory::last(run), best = RunDirectory::best(run);
  json list = json::array();
  TextTable table({{"step", true}, {"score", true}, {"bytes", true}, {"checkpoint"}, {""}});
  for (const SavedCheckpoint& c : RunDirectory::checkpoints(run)) {
    int64_t bytes = 0;
    for (const fs::path& file : tensor_files(c.path)) bytes += examine_tensors(file)["bytes"].get<int64_t>();
    const bool is_last = last && last->step == c.step, is_best = best && best->step == c.step;
    list.push_back({{"step", c.step}, {"score", c.score ? json(*c.score) : json()}, {"bytes", bytes}, {"path", c.path.string()}, {"last", is_last}, {"best", is_best}});
    table.row({std::to_string(c.step), c.score ? fmt::format("{:.3f}", *c.score) : "-", show_bytes(double(bytes)), c.path.string(),
               std::string(is_last ? "last" : "") + (is_last && is_best ? ", " : "") + (is_best ? "best" : "")});
  }
  if (as_json) print_json({{"run", run.string()}, {"checkpoints", list}});
  else fmt::print("{}: a run with {} complete checkpoints\n{}", run.string(), list.size(), table.text());
  return 0;
}

int inspect(const fs::path& path, const CommonOptions& common) {
  require_data(fs::exists(path), "{}: there is no such file or folder", path.string());
  if (fs::is_directory(path)) return RunDirectory::exists(path) ? inspect_run(path, common.json) : inspect_files(path, tensor_files(path), common.json);
  if (path.extension() == ".json") return inspect_files(path, Checkpoint::open(path).files(), common.json);
  const json found = examine_tensors(path);
  common.json ? print_json(found) : print_tensors(found);
  return 0;
}

}  // namespace

void add_inspect(Command program, Run& run) {
  struct Options {
    CommonOptions common;
    std::string path;
  };
  auto o = std::make_shared<Options>();
  Command app = add_command(program, "inspect", "names, shapes, dtypes and bytes of a file of weights or a model folder; the checkpoints of a run",
                              "alinea inspect model.safetensors\nalinea inspect pytorch_model.bin\nalinea inspect runs/demo/best --json");
  app.add_option("path", o->path, ".safetensors, .bin or .pt, an index of shards, a model folder or a run").required().type_name("PATH");
  add_common(app, o->common, Common::json);
  app.callback([o, &run] { run = [o] { return inspect(o->path, o->common); }; });
}

}  // namespace alinea
