// alinea inspect: what a safetensors file, a model folder or a run holds. Damaged files are refused with the reason (exit 3).
#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/run_directory.h"
#include "models/hub/safetensors.h"

namespace alinea {

namespace {

namespace fs = std::filesystem;
using json = nlohmann::ordered_json;

json examine_tensors(const fs::path& path) {
  const SafetensorsFile file(path);
  json tensors = json::array();
  int64_t elements = 0, bytes = 0;
  for (const SafetensorsFile::Entry& e : file.entries()) {
    tensors.push_back({{"name", e.name}, {"dtype", e.dtype}, {"shape", std::vector<int64_t>(e.shape.dim.begin(), e.shape.dim.begin() + e.shape.rank)}, {"bytes", e.bytes}});
    elements += e.shape.count();
    bytes += e.bytes;
  }
  json j{{"file", path.string()}};
  if (!file.metadata().empty()) j["metadata"] = file.metadata();
  j["elements"] = elements;
  j["bytes"] = bytes;
  j["tensors"] = tensors;
  return j;
}

void print_tensors(const json& j) {
  TextTable table({{"name"}, {"dtype"}, {"shape"}, {"bytes", true}});
  for (const json& t : j["tensors"]) {
    std::string shape;
    for (const json& n : t["shape"]) shape += (shape.empty() ? "" : " × ") + std::to_string(n.get<int64_t>());
    table.row({t["name"].get<std::string>(), t["dtype"].get<std::string>(), shape.empty() ? "scalar" : shape, std::to_string(t["bytes"].get<int64_t>())});
  }
  fmt::print("{}: {} tensors, {} elements, {}\n", j["file"].get<std::string>(), j["tensors"].size(), j["elements"].get<int64_t>(),
             show_bytes(j["bytes"].get<double>()));
  if (j.contains("metadata"))
    for (const auto& [k, v] : j["metadata"].items()) fmt::print("  {}: {}\n", k, v.get<std::string>());
  fmt::print("{}", table.text());
}

std::vector<fs::path> tensor_files(const fs::path& folder) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.path().extension() == ".safetensors") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  return files;
}

int inspect_folder(const fs::path& folder, bool as_json) {
  const std::vector<fs::path> files = tensor_files(folder);
  require_data(!files.empty(), "{}: neither a run nor a folder with .safetensors files", folder.string());
  json list = json::array();
  for (const fs::path& file : files) {
    list.push_back(examine_tensors(file));
    if (!as_json) print_tensors(list.back());
  }
  if (as_json) print_json({{"folder", folder.string()}, {"files", list}});
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
  if (fs::is_directory(path)) return RunDirectory::exists(path) ? inspect_run(path, common.json) : inspect_folder(path, common.json);
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
  Command app = add_command(program, "inspect", "names, shapes, dtypes and bytes of a safetensors file or model folder; the checkpoints of a run",
                              "alinea inspect model.safetensors\nalinea inspect runs/demo/best --json");
  app.add_option("path", o->path, "FILE.safetensors, a model folder or a run").required().type_name("PATH");
  add_common(app, o->common, Common::json);
  app.callback([o, &run] { run = [o] { return inspect(o->path, o->common); }; });
}

}  // namespace alinea
