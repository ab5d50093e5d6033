// A training task whose loss is NaN at chosen steps, and what training must make of it.
#pragma once
#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "apps/trainer.h"
#include "autograd/elementwise.h"
#include "tests/apps/program.h"
#include "tests/apps/tiny.h"

namespace alinea {

class PoisonedTask final : public Task {
 public:
  PoisonedTask(std::unique_ptr<Task> task, std::set<int64_t> steps) : task_(std::move(task)), steps_(std::move(steps)) {}   // steps: counted from 0
  const TrainConfig& config() const override { return task_->config(); }
  Config resolved() const override { return task_->resolved(); }
  std::string title() const override { return task_->title(); }
  int64_t validation_every() const override { return task_->validation_every(); }
  Module& model() override { return task_->model(); }
  std::span<const std::string_view> terms() const override { return task_->terms(); }
  void start(BatchNumbers numbers) override { task_->start(numbers); }
  BatchLoss next_loss(const Pass& pass) override {
    BatchLoss loss = task_->next_loss(pass);
    if (steps_.contains(pass.step)) loss.total = scale(loss.total, std::nan(""));
    return loss;
  }
  Validation validate(int64_t step, std::span<const double> terms) override { return task_->validate(step, terms); }
  void save(const std::filesystem::path& folder) override { task_->save(folder); }

 private:
  std::unique_ptr<Task> task_;
  std::set<int64_t> steps_;
};

// `from`: a run that this one goes on from, or empty.
inline void train_poisoned(Context& context, Config config, int steps, const std::set<int64_t>& poisoned, const std::filesystem::path& out, const std::filesystem::path& from = {}) {
  config.set("steps", std::to_string(steps));
  Trainer trainer(context, std::make_unique<PoisonedTask>(make_task(context, config, {}), poisoned));
  if (!from.empty()) trainer.resume(*RunDirectory::last(from));
  RunDirectory run = RunDirectory::create(out, trainer.task().resolved(), {});
  const int code = trainer.run(&run, true);                 // apart: CHECK would swallow the exception
  CHECK(code == 0);
}

inline void check_skipped_steps(Context& context) {
  const Folder f;
  tiny_speech::make_corpus(f.path / "data");
  Config config = tiny_speech::tiny(f.path / "data", 1);
  config.set("schedule.kind", "constant"), config.set("schedule.warmup", "0");
  CHECK_THROWS_WITH_AS(train_poisoned(context, config, 4, {1}, f.path / "stop"), doctest::Contains("train: step 2: the loss is nan"), Error);

  config.set("non_finite", "skip");
  const auto same = [&](const char* a, const char* b) {
    for (const char* file : {"last/model.safetensors", "last/optimizer.safetensors"}) CHECK(read_file(f.path / a / file) == read_file(f.path / b / file));
  };
  train_poisoned(context, config, 2, {}, f.path / "two");
  train_poisoned(context, config, 3, {2}, f.path / "three");   // the third step leaves all as it was
  same("two", "three");
  train_poisoned(context, config, 6, {2}, f.path / "six");
  train_poisoned(context, config, 6, {}, f.path / "resumed", f.path / "three");
  same("six", "resumed");
  const std::string log = read_file(f.path / "six/log.jsonl");
  CHECK(contains(log, R"("step":3,"loss":null)"));
  CHECK(contains(log.substr(log.rfind("\"step\":6")), R"("skipped":1)"));

  std::set<int64_t> all;
  for (int64_t i = 1; i < 40; ++i) all.insert(i);
  try {
    train_poisoned(context, config, 40, all, f.path / "all");
    FAIL("a run that only skips did not end");
  } catch (const Error& e) {
    CHECK(e.kind() == Exit::diverged);
    CHECK(contains(e.what(), "train: step 11: the loss is nan"));
    CHECK(contains(e.what(), "the 10th step in a row to be skipped"));
  }
}

}  // namespace alinea
