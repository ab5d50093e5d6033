// What every training run is told, whatever its task; a task adds its own fields. Resolved and written to RUN/config.json.
#pragma once
#include "engine/core/error.h"
#include "nn/optimizer.h"
#include "nn/schedule.h"

namespace alinea {

struct TrainConfig {
  std::string data;
  int64_t steps = 1700, batch = 16, accumulate = 1, seed = 1;
  int64_t log_every = 20, save_every = 200, keep_last = 2, keep_best = 1, early_stop = 0;
  std::string non_finite = "stop";
  OptimizerConfig optimizer;
  Schedule schedule;
  std::vector<std::string> freeze, train;

  void fields(Config& c) {
    c.field("data", data, "prepared data directory");
    c.field("steps", steps, "optimiser steps");
    c.field("batch", batch, "sentences per batch");
    c.field("accumulate", accumulate, "batches whose gradients are added before a step");
    c.field("seed", seed, "of the initial weights, the data order and dropout");
    c.field("log_every", log_every, "steps between log lines");
    c.field("save_every", save_every, "steps between checkpoints");
    c.field("keep_last", keep_last, "newest checkpoints kept");
    c.field("keep_best", keep_best, "best checkpoints kept");
    c.field("early_stop", early_stop, "stop after so many validations without a better score; 0: never");
    c.field("non_finite", non_finite, "a step whose loss or gradient is NaN or infinite: stop ends the run (exit code 5), skip leaves it out; ten in a row end the run all the same");
    c.field("optimizer", optimizer, "AdamW");
    c.field("schedule", schedule, "learning rate over the steps");
    c.field("freeze", freeze, "parameters whose names start so are not trained, e.g. [\"model.encoder\"]; * stands for any characters, [\"*\"] freezes everything");
    c.field("train", train, "trained although `freeze` names them: [\"*layer_norm\", \"model.encoder.layers.*.self_attn.\"] beside freeze [\"*\"]");
  }
  void check() const {
    require(steps > 0 && batch > 0 && accumulate > 0 && log_every > 0 && save_every > 0, "train: steps, batch, accumulate, log_every and save_every must be positive");
    require(non_finite == "stop" || non_finite == "skip", "train: non_finite '{}' is not stop or skip", non_finite);
  }
};

}  // namespace alinea
