// Everything a training run is told, resolved and written to RUN/config.json.
#pragma once
#include "data/dataset.h"
#include "models/s2t_transformer.h"
#include "nn/optimizer.h"
#include "nn/schedule.h"

namespace alinea {

struct ValidationConfig {
  int64_t every = 200, sentences = 100, max_tokens = 60, wait_k = 3;
  double threshold = 0.5;
  void fields(Config& c) {
    c.field("every", every, "steps between validations; 0: only at the end");
    c.field("sentences", sentences, "sentences of the dev set that are decoded; 0: all");
    c.field("max_tokens", max_tokens, "longest output");
    c.field("wait_k", wait_k, "k of the wait-k validation");
    c.field("threshold", threshold, "EMMA's decision threshold");
  }
};

struct WaitKConfig {
  int64_t min_k = 1, max_k = 10, ratio = 8;
  void fields(Config& c) {
    c.field("min_k", min_k, "smallest k drawn for a step (multi-path)");
    c.field("max_k", max_k, "largest k");
    c.field("ratio", ratio, "encoder states per token");
  }
};

/// Changes to the training examples, drawn anew each time one is loaded.
struct AugmentConfig {
  double speed_low = 1, speed_high = 1, gain_decibels = 0;
  int64_t freq_masks = 0, freq_width = 27, time_masks = 0, time_width = 100;
  void fields(Config& c) {
    c.field("speed_low", speed_low, "slowest speed; other than 1: features are computed anew from the audio");
    c.field("speed_high", speed_high, "fastest speed");
    c.field("gain_decibels", gain_decibels, "loudness changes by up to so many decibels");
    c.field("freq_masks", freq_masks, "SpecAugment: masked bands");
    c.field("freq_width", freq_width, "SpecAugment: widest band");
    c.field("time_masks", time_masks, "SpecAugment: masked stretches");
    c.field("time_width", time_width, "SpecAugment: longest stretch in frames");
  }
  Augmentation augmentation() const {
    Augmentation a{.speed_low = speed_low, .speed_high = speed_high, .gain_decibels = gain_decibels};
    if (freq_masks > 0 || time_masks > 0) a.spec_augment = SpecAugment{.freq_masks = freq_masks, .freq_width = freq_width, .time_masks = time_masks, .time_width = time_width};
    return a;
  }
};

struct TrainConfig {
  std::string stage = "offline", data;
  int64_t steps = 1700, batch = 16, accumulate = 1, seed = 1;
  int64_t log_every = 20, save_every = 200, keep_last = 2, keep_best = 1, early_stop = 0;
  S2TConfig model;
  LossConfig loss;
  OptimizerConfig optimizer;
  Schedule schedule;
  WaitKConfig waitk;
  ValidationConfig validation;
  AugmentConfig augment;
  std::vector<std::string> freeze;

  void fields(Config& c) {
    c.field("stage", stage, "offline, emma (fine-tunes an offline model) or waitk (multi-path)");
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
    c.field("model", model, "sizes and choices; taken from the initial model when there is one");
    c.field("loss", loss, "weights of the loss terms");
    c.field("optimizer", optimizer, "AdamW");
    c.field("schedule", schedule, "learning rate over the steps");
    c.field("waitk", waitk, "multi-path wait-k");
    c.field("augment", augment, "changes to the training examples");
    c.field("validation", validation, "decoding of the dev set");
    c.field("freeze", freeze, "parameters whose names start so are not trained, e.g. [\"encoder\"]");
  }
  void check() const {
    require(stage == "offline" || stage == "emma" || stage == "waitk", "train: stage '{}' is not offline, emma or waitk", stage);
    require(steps > 0 && batch > 0 && accumulate > 0 && log_every > 0 && save_every > 0, "train: steps, batch, accumulate, log_every and save_every must be positive");
    require(waitk.min_k >= 1 && waitk.max_k >= waitk.min_k && waitk.ratio >= 1, "train: waitk needs 1 ≤ min_k ≤ max_k and ratio ≥ 1");
  }
};

}  // namespace alinea
