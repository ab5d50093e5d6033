// An experiment: one configuration, changed in one place per cell; every cell is trained and evaluated under the same conditions.
#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/config.h"
#include "engine/core/context.h"
#include "models/generation.h"

namespace alinea {

/// {"base": FILE, "data": DIR, "init": RUN, "set": {…}, "decoding": {…}, "cells": [{"name": …, "set": {"dotted.key": value, …}}, …]}
/// Paths of base are relative to the experiment's file, data and init to the working directory; all but base and cells may be missing.
struct ExperimentFile {
  struct Cell {
    std::string name;
    std::vector<std::pair<std::string, std::string>> set;  // dotted key, value as JSON; the experiment's own "set" first
  };
  std::filesystem::path base, data, init;
  GenerationConfig decoding{.max_length = 101};  // of the test set, text only
  std::vector<Cell> cells;

  /// Throws Error{usage}, naming the place, for what does not follow the form above, and for names that occur twice or can't be folders.
  static ExperimentFile load(const std::filesystem::path& path);
};

/// What a finished cell measured.
struct CellResult {
  std::string name, diverged;            // diverged: the reason, or empty
  std::map<std::string, double> values;  // bleu, dev_loss, test_loss, tokens_per_second, peak_mb, parameters, …
};

/// Trains and evaluates every cell in out/cells/NAME, one after the other, and writes out/results.json, results.md and report.html after
/// each. Finished cells are not run again, interrupted ones continue; a cell whose settings have changed is an error that names it.
/// Returns 0, 1 if a cell diverged, or 130/143 after a signal (everything is saved then).
int run_experiment(Context& context, const ExperimentFile& experiment, const std::filesystem::path& out, bool quiet);

}  // namespace alinea
