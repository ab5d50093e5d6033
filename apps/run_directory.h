// The folder of one training run. kill -9 at any moment leaves it resumable: what exists under its final name is whole.
//
//   config.json                    resolved configuration            env.json      format, versions, machine
//   log.jsonl                      one line per logged step          metrics.jsonl one line per validation
//   speed.jsonl                    what depends on the machine (tokens/s, …), so that log.jsonl is reproducible byte for byte
//   tensorboard/events…            the same scalars
//   checkpoints/step_00001000/     model files, trainer.json, checkpoint.json {step, score}, DONE (names and sizes of the files)
//   last, best                     links to checkpoints
//   lock                           held by the one writer (flock), with its process number
//
// A checkpoint is written to a hidden folder, every file flushed, renamed, and only then marked DONE; readers look at marked ones alone.
#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/core/config.h"

namespace alinea {

/// A complete checkpoint on disk.
struct SavedCheckpoint {
  int64_t step = 0;
  std::optional<double> score;
  std::filesystem::path path;        // the folder with the model files
  std::string trainer_json() const;  // what save() was given
};

class RunDirectory {
 public:
  static constexpr int format = 1;
  using Values = std::span<const std::pair<std::string_view, double>>;
  using Environment = std::vector<std::pair<std::string, std::string>>;

  /// Starts a run. Errors: usage when `path` already holds a run or other files, or another process writes there; data when it can't be
  /// made.
  static RunDirectory create(const std::filesystem::path& path, const Config& resolved, const Environment& environment);

  /// Opens a run for writing, removes what a killed process left half done. Errors: data when it is no run or of another format; usage when
  /// another process (named) writes there.
  static RunDirectory open(const std::filesystem::path& path);

  static bool exists(const std::filesystem::path& path);  // holds a run
  /// What create() was given under this name; `missing` where there is none.
  static std::string environment(const std::filesystem::path& run, const std::string& name, const std::string& missing);

  // Reading needs no lock. `run` is checked as in open().
  static std::vector<SavedCheckpoint> checkpoints(const std::filesystem::path& run);  // complete ones, by step
  static std::optional<SavedCheckpoint> last(const std::filesystem::path& run);
  static std::optional<SavedCheckpoint> best(
      const std::filesystem::path& run);  // highest score, the earliest of equals; without scores the last

  RunDirectory(RunDirectory&&) noexcept;
  RunDirectory& operator=(RunDirectory&&) noexcept;
  ~RunDirectory();

  const std::filesystem::path& path() const;

  /// Must come before the first log: drops lines of log, metrics and speed past `step` (0 for a fresh start) and begins an event file.
  void start_after(int64_t step);

  // A line {"step": …, name: value, …}; NaN and infinities become null.
  void log(int64_t step, Values values);      // training: reproducible figures
  void metrics(int64_t step, Values values);  // validation
  void speed(int64_t step, Values values);    // tokens/s, seconds, bytes

  /// `write_files` fills the folder it is given. `score`: higher is better. A checkpoint of the same step is replaced. When anything fails
  /// (full disk: Exit::data), older checkpoints are untouched. Then `last` and `best` are set and old checkpoints pruned as keep() says.
  SavedCheckpoint save(int64_t step, const std::function<void(const std::filesystem::path& folder)>& write_files,
                       std::string_view trainer_json, std::optional<double> score = {});

  /// From now on keep only the `last` (≥ 1) newest checkpoints and the `best` with the highest scores. Default: all.
  void keep(int last, int best);

 private:
  struct State;
  explicit RunDirectory(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace alinea
