#include "apps/run_directory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "apps/tensorboard.h"
#include "engine/core/error.h"
#include "engine/core/files.h"

namespace alinea {
namespace fs = std::filesystem;
using json = nlohmann::ordered_json;
namespace {

constexpr const char* line_files[] = {"log.jsonl", "metrics.jsonl", "speed.jsonl"};

// The one writer: flock ends with the process, however that ends, so a stale lock can't exist.
class Lock {
 public:
  explicit Lock(const fs::path& run) : fd_(::open((run / "lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644)) {
    require_data(fd_ >= 0, "{}: can't be opened for writing: {}; check the permissions of the run directory", (run / "lock").string(),
                 std::strerror(errno));
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      const int code = errno;
      char holder[32] = {};
      const ssize_t n = ::pread(fd_, holder, sizeof holder - 1, 0);
      ::close(fd_);
      require_data(code == EWOULDBLOCK, "{}: can't be locked: {}; choose a folder on a file system with locks", (run / "lock").string(),
                   std::strerror(code));
      fail(Exit::usage, "{}: process {} is writing this run; wait until it ends, stop it, or choose another folder", run.string(),
           n > 0 ? std::string(holder, size_t(n)) : std::string("(unknown)"));
    }
    const std::string pid = std::to_string(::getpid());
    if (::ftruncate(fd_, 0) != 0 || ::pwrite(fd_, pid.data(), pid.size(), 0) < 0) {
      const int code = errno;
      ::close(fd_);
      fail(Exit::data, "{}: can't be written: {}", (run / "lock").string(), std::strerror(code));
    }
  }
  ~Lock() { ::close(fd_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

 private:
  int fd_;
};

json parse_file(const fs::path& path) {
  try {
    return json::parse(read_file(path));
  } catch (const json::exception& e) {
    const std::string what = e.what();
    fail(Exit::data, "{}: not valid JSON: {}", path.string(), what.substr(what.find(']') + 2));
  }
}

void check_format(const fs::path& run) {
  require_data(RunDirectory::exists(run), "{}: no run directory (it has no env.json); check the path", run.string());
  const json environment = parse_file(run / "env.json");
  const json found = environment.contains("format") ? environment["format"] : json(nullptr);
  require_data(found == json(RunDirectory::format),
               "{}: run directory of format {}, this program knows format {}; use the version of the program that made it", run.string(),
               found.dump(), RunDirectory::format);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) names.push_back(entry.path().filename().string());
  return names;
}

std::string step_name(int64_t step) { return fmt::format("step_{:08d}", step); }

json file_sizes(const fs::path& folder) {
  std::vector<std::pair<std::string, uint64_t>> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) files.emplace_back(entry.path().lexically_relative(folder).string(), entry.file_size());
  std::sort(files.begin(), files.end());
  json sizes = json::object();
  for (const auto& [name, size] : files) sizes[name] = size;
  return sizes;
}

void flush_tree(const fs::path& folder) {
  for (const auto& entry : fs::recursive_directory_iterator(folder)) flush_to_disk(entry.path());
  flush_to_disk(folder);
}

// The checkpoint in this folder if it is marked DONE and every file has its size (a copy broken off half-way doesn't count).
// A checkpoint that the writer prunes while it is being looked at doesn't count either.
std::optional<SavedCheckpoint> complete(const fs::path& folder) try {
  std::error_code code;
  if (!fs::is_regular_file(folder / "DONE", code)) return {};
  const json done = json::parse(read_file(folder / "DONE"), nullptr, false);
  if (!done.is_object()) return {};
  for (const auto& [name, size] : done.items())
    if (fs::file_size(folder / name, code) != size.get<uint64_t>() || code) return {};
  json meta = parse_file(folder / "checkpoint.json");
  require_data(meta.is_object() && meta["step"].is_number_integer(), "{}: has no step; remove this checkpoint",
               (folder / "checkpoint.json").string());
  SavedCheckpoint saved;
  saved.step = meta["step"];
  if (meta["score"].is_number()) saved.score = meta["score"].get<double>();
  saved.path = folder;
  return saved;
} catch (const Error&) {
  if (!fs::exists(folder)) return {};
  throw;
}

std::vector<SavedCheckpoint> scan(const fs::path& run) {
  std::vector<SavedCheckpoint> all;
  std::error_code code;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", code))
    if (entry.path().filename().string().starts_with("step_"))
      if (auto saved = complete(entry.path())) all.push_back(std::move(*saved));
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) { return a.step < b.step; });
  return all;
}

double rank(const SavedCheckpoint& saved) { return saved.score.value_or(-std::numeric_limits<double>::infinity()); }

const SavedCheckpoint* best_of(const std::vector<SavedCheckpoint>& all) {
  const SavedCheckpoint* best = nullptr;
  for (const auto& saved : all)
    if (saved.score && (!best || *saved.score > *best->score)) best = &saved;
  return best ? best : all.empty() ? nullptr : &all.back();
}

// Renamed first: a half-removed checkpoint never bears a checkpoint's name.
void remove_checkpoint(const fs::path& folder) {
  const fs::path hidden = folder.parent_path() / ("." + folder.filename().string() + ".removed");
  fs::remove_all(hidden);
  fs::rename(folder, hidden);
  fs::remove_all(hidden);
}

// What a killed process left: unfinished or half-removed folders go; a checkpoint that was moved aside for a newer one that never got
// finished comes back.
void clean_up(const fs::path& run) {
  const fs::path folder = run / "checkpoints";
  for (const auto& name : names_in(folder)) {
    if (!name.starts_with(".step_") || !name.ends_with(".old")) continue;
    const fs::path final_name = folder / name.substr(1, name.size() - 5);
    if (complete(final_name)) continue;
    fs::remove_all(final_name);
    fs::rename(folder / name, final_name);
  }
  for (const auto& name : names_in(folder))
    if (name.starts_with(".step_") || (name.starts_with("step_") && !fs::exists(folder / name / "DONE"))) fs::remove_all(folder / name);
  for (const auto& name : names_in(run))
    if (name.starts_with(".") && name.ends_with(".tmp")) fs::remove(run / name);
}

// The lines up to `step`; a last line without its end was cut by a kill and goes too.
std::string lines_up_to(const std::string& text, int64_t step) {
  std::string kept;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = text.find('\n', begin);
    if (end == text.npos) break;
    const std::string line = text.substr(begin, end - begin + 1);
    const json j = json::parse(line, nullptr, false);
    if (j.is_object() && j.contains("step") && j["step"].is_number_integer() && j["step"].get<int64_t>() <= step) kept += line;
    begin = end + 1;
  }
  return kept;
}

std::string json_line(int64_t step, RunDirectory::Values values) {
  json line;
  line["step"] = step;
  for (const auto& [name, value] : values) line[std::string(name)] = std::isfinite(value) ? json(value) : json(nullptr);
  return line.dump() + "\n";
}

}  // namespace

struct RunDirectory::State {
  fs::path path;
  Lock lock;
  std::optional<TensorBoard> board;
  int keep_last = std::numeric_limits<int>::max(), keep_best = 0;

  explicit State(fs::path run) : path(std::move(run)), lock(path) {}

  void write(const char* file, int64_t step, Values values) {
    require(board.has_value(), "run directory: start_after() must come before the first log");
    append_file(path / file, json_line(step, values));
    board->scalars(step, values);
  }
  void prune() {
    std::vector<SavedCheckpoint> all = scan(path);
    const SavedCheckpoint* best = best_of(all);
    const fs::path best_path = best ? best->path : fs::path();
    while (int64_t(all.size()) > keep_last) {
      auto by_rank = all;
      std::stable_sort(by_rank.begin(), by_rank.end(), [](const auto& a, const auto& b) { return rank(a) > rank(b); });
      by_rank.erase(by_rank.begin() + std::min<std::ptrdiff_t>(keep_best, std::ssize(by_rank)), by_rank.end());
      const auto newest_kept = all.end() - keep_last;
      const auto victim = std::find_if(all.begin(), newest_kept, [&](const auto& saved) {
        return saved.path != best_path &&
               std::none_of(by_rank.begin(), by_rank.end(), [&](const auto& b) { return b.path == saved.path && b.score; });
      });
      if (victim == newest_kept) return;
      remove_checkpoint(victim->path);
      all.erase(victim);
    }
  }
  void set_links() {
    const auto all = scan(path);
    if (all.empty()) {  // a link may have been left by a checkpoint that never got finished
      fs::remove(path / "last");
      fs::remove(path / "best");
      return;
    }
    const auto target = [](const SavedCheckpoint& saved) { return fs::path("checkpoints") / saved.path.filename(); };
    point_link(path / "last", target(all.back()));
    point_link(path / "best", target(*best_of(all)));
  }
};

std::string SavedCheckpoint::trainer_json() const { return read_file(path / "trainer.json"); }

RunDirectory::RunDirectory(std::unique_ptr<State> state) : state_(std::move(state)) {}
RunDirectory::RunDirectory(RunDirectory&&) noexcept = default;
RunDirectory& RunDirectory::operator=(RunDirectory&&) noexcept = default;
RunDirectory::~RunDirectory() = default;

const fs::path& RunDirectory::path() const { return state_->path; }

bool RunDirectory::exists(const fs::path& path) {
  std::error_code code;
  return fs::is_regular_file(path / "env.json", code);
}

std::string RunDirectory::environment(const fs::path& run, const std::string& name, const std::string& missing) {
  check_format(run);
  const json value = parse_file(run / "env.json").value(name, json(missing));
  return value.is_string() ? value.get<std::string>() : missing;
}

RunDirectory RunDirectory::create(const fs::path& path, const Config& resolved, const Environment& environment) {
  require(!exists(path), "{}: already holds a run; resume it or choose another folder", path.string());
  make_folder(path);
  for (const auto& name : names_in(path))  // a run killed while it was made has only these
    require(name == "lock" || name == "config.json" || name == "checkpoints" || name.ends_with(".tmp"),
            "{}: holds \"{}\", which is not part of a run; choose an empty folder", path.string(), name);
  auto state = std::make_unique<State>(path);
  make_folder(path / "checkpoints");
  write_atomically(path / "config.json", resolved.dump());
  json env;
  env["format"] = format;
  for (const auto& [name, value] : environment) env[name] = value;
  write_atomically(path / "env.json", env.dump(2) + "\n");  // last: from here on it is a run
  return RunDirectory(std::move(state));
}

RunDirectory RunDirectory::open(const fs::path& path) {
  check_format(path);
  auto state = std::make_unique<State>(path);
  clean_up(path);
  state->set_links();
  return RunDirectory(std::move(state));
}

std::vector<SavedCheckpoint> RunDirectory::checkpoints(const fs::path& run) {
  check_format(run);
  return scan(run);
}

std::optional<SavedCheckpoint> RunDirectory::last(const fs::path& run) {
  const auto all = checkpoints(run);
  return all.empty() ? std::nullopt : std::optional(all.back());
}

std::optional<SavedCheckpoint> RunDirectory::best(const fs::path& run) {
  const auto all = checkpoints(run);
  const SavedCheckpoint* best = best_of(all);
  return best ? std::optional(*best) : std::nullopt;
}

void RunDirectory::start_after(int64_t step) {
  for (const char* name : line_files) {
    const fs::path file = state_->path / name;
    if (!fs::exists(file)) continue;
    const std::string text = read_file(file), kept = lines_up_to(text, step);
    if (kept != text) write_atomically(file, kept);
  }
  state_->board.emplace(state_->path / "tensorboard", step + 1);
}

void RunDirectory::log(int64_t step, Values values) { state_->write("log.jsonl", step, values); }
void RunDirectory::metrics(int64_t step, Values values) { state_->write("metrics.jsonl", step, values); }
void RunDirectory::speed(int64_t step, Values values) { state_->write("speed.jsonl", step, values); }

SavedCheckpoint RunDirectory::save(int64_t step, const std::function<void(const fs::path&)>& write_files, std::string_view trainer_json,
                                   std::optional<double> score) {
  require(step >= 0, "checkpoint: step {} is negative", step);
  const fs::path folder = state_->path / "checkpoints", final_name = folder / step_name(step);
  const fs::path temporary = folder / ("." + step_name(step) + ".tmp"), old = folder / ("." + step_name(step) + ".old");
  try {
    fs::remove_all(temporary);
    make_folder(temporary);
    write_files(temporary);
    write_atomically(temporary / "trainer.json", trainer_json);
    json meta;
    meta["step"] = step;
    meta["score"] = score && std::isfinite(*score) ? json(*score) : json(nullptr);
    write_atomically(temporary / "checkpoint.json", meta.dump() + "\n");
    const std::string done = file_sizes(temporary).dump(1) + "\n";
    flush_tree(temporary);
    if (fs::exists(final_name)) fs::rename(final_name, old);
    fs::rename(temporary, final_name);
    flush_to_disk(folder);
    write_atomically(final_name / "DONE", done);
    fs::remove_all(old);
  } catch (const fs::filesystem_error& e) {
    clean_up(state_->path);
    fail(Exit::data, "checkpoint of step {}: {}; older checkpoints are untouched", step, e.what());
  } catch (...) {
    clean_up(state_->path);
    throw;
  }
  state_->set_links();
  state_->prune();
  return *complete(final_name);
}

void RunDirectory::keep(int last, int best) {
  require(last >= 1 && best >= 0, "keep: last is {} and best is {}; expected last ≥ 1 and best ≥ 0", last, best);
  state_->keep_last = last;
  state_->keep_best = best;
  state_->prune();
}

}  // namespace alinea
