#include "apps/trainer.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/signals.h"
#include "engine/core/files.h"
#include "models/hub/model_directory.h"

namespace alinea {

Trainer::Trainer(Context& context, std::unique_ptr<Task> task)
    : context_(context), processes_(Processes::world()), task_(std::move(task)), config_(task_->config()) {
  freeze(task_->model(), config_.freeze, config_.train);
  parameters_ = std::make_unique<FlatParameters>(task_->model());
  optimizer_ = std::make_unique<Optimizer>(*parameters_, config_.optimizer);
  exchange_ = std::make_unique<GradientExchange>(*parameters_, processes_);
}

void Trainer::resume(const SavedCheckpoint& checkpoint) {
  load_weights(task_->model(), Checkpoint::open(checkpoint.path));
  const SafetensorsFile state(checkpoint.path / "optimizer.safetensors");
  const Tensor m = state.load("moment1", context_), v = state.load("moment2", context_);
  require_data(m.shape() == optimizer_->moment1.shape(),
               "{}: the optimiser state holds {} values, the run trains {}; the configuration was changed", checkpoint.path.string(),
               m.count(), optimizer_->moment1.count());
  optimizer_->moment1.copy_from(m);
  optimizer_->moment2.copy_from(v);
  step_ = checkpoint.step;
  const auto trainer = nlohmann::json::parse(checkpoint.trainer_json());
  best_quality_ = trainer.value("best_quality", best_quality_);
  without_better_ = trainer.value("validations_without_better", without_better_);
  skipped_ = trainer.value("skipped", skipped_);
  skipped_in_a_row_ = trainer.value("skipped_in_a_row", skipped_in_a_row_);
}

Trainer::StepResult Trainer::train_step() {
  StepResult r;
  const RandomKey key = RandomKey{uint64_t(config_.seed)}.child("dropout").child(uint64_t(step_));
  optimizer_->zero_grad();
  const double share = 1.0 / double(config_.accumulate * processes_.size());
  std::vector<Figure> figures;                              // of every part: its loss and its terms
  for (int64_t part = 0; part < config_.accumulate; ++part) {
    Tape tape;
    const int64_t number = part * processes_.size() + processes_.rank();
    const BatchLoss loss = task_->next_loss(Pass{&tape, key.child(uint64_t(number)), true, step_});
    figures.emplace_back(loss.total.value());
    figures.insert(figures.end(), loss.terms.begin(), loss.terms.end());
    r.tokens += loss.tokens;
    if (part + 1 == config_.accumulate) exchange_->listen(tape);
    tape.backward(loss.total, share);
  }
  exchange_->finish();
  ++step_;
  const Tensor norm = optimizer_->gradient_norm();
  figures.emplace_back(norm);
  read(r, figures, share);
  // Loss and gradients have been added up over the processes: all of them decide alike.
  if (std::isfinite(r.loss) && std::isfinite(r.gradient_norm)) {
    skipped_in_a_row_ = 0;
    optimizer_->step(rate(), step_ - skipped_, norm);
  } else {
    skip_or_stop(r);
  }
  return r;
}

// The one place of a step that waits for a GPU.
void Trainer::read(StepResult& r, const std::vector<Figure>& figures, double share) {
  const std::vector<double> values = read_figures(figures);
  r.terms.resize(task_->terms().size());
  const size_t each = 1 + r.terms.size();
  for (size_t part = 0; part + each < values.size(); part += each) {
    r.loss += share * values[part];
    for (size_t i = 0; i < r.terms.size(); ++i) r.terms[i] += share * values[part + 1 + i];
  }
  r.gradient_norm = values.back();
  this->share(r);
}

// What a step gave, over all processes.
void Trainer::share(StepResult& r) {
  std::vector<double> all{r.loss, double(r.tokens)};
  all.insert(all.end(), r.terms.begin(), r.terms.end());
  processes_.sum(all);
  r.loss = all[0], r.tokens = int64_t(all[1]);
  std::copy(all.begin() + 2, all.end(), r.terms.begin());
}

bool Trainer::anybody(bool stopped) {
  double count = stopped;
  processes_.sum({&count, 1});
  return count > 0;
}

void Trainer::skip_or_stop(const StepResult& r) {
  constexpr int64_t most = 10;                              // in a row: chance does not do that, the weights are spoilt
  const bool skip = config_.non_finite == "skip";
  ++skipped_, ++skipped_in_a_row_;
  if (skip && skipped_in_a_row_ < most) return;
  fail(Exit::diverged,
       "train: step {}: the loss is {} and the gradient norm {}{}; the last checkpoint is kept. Lower optimizer.lr (now {}) or raise "
       "schedule.warmup (now {})",
       step_, r.loss, r.gradient_norm, skip ? fmt::format(", the {}th step in a row to be skipped", most) : "", config_.optimizer.lr, config_.schedule.warmup);
}

void Trainer::log(RunDirectory& directory) const {
  std::vector<std::pair<std::string_view, double>> values{{"loss", last_.loss}};
  for (size_t i = 0; i < last_.terms.size(); ++i) values.emplace_back(task_->terms()[i], last_.terms[i]);
  values.emplace_back("gradient_norm", last_.gradient_norm);
  values.emplace_back("lr", rate());
  if (config_.non_finite == "skip") values.emplace_back("skipped", double(skipped_));
  directory.log(step_, values);
}

// Returns the quality, which the first process finds out.
double Trainer::validate(RunDirectory* directory, Progress& progress) {
  double quality = 0;
  if (directory) {
    const Validation v = task_->validate(step_, last_.terms);
    directory->metrics(step_, v.metrics);
    progress.message(fmt::format("step {}: {}", step_, v.message));
    if (!v.collapse.empty()) fail(Exit::diverged, "train: step {}: {}", step_, v.collapse);
    quality = v.quality;
  }
  processes_.broadcast({&quality, 1});
  without_better_ = quality > best_quality_ ? 0 : without_better_ + 1;
  best_quality_ = std::max(best_quality_, quality);
  return quality;
}

void Trainer::save(RunDirectory* directory, std::optional<double> score) {
  if (!directory) return;
  directory->save(
      step_,
      [&](const std::filesystem::path& folder) {
        task_->save(folder);
        write_safetensors(folder / "optimizer.safetensors", {{"moment1", optimizer_->moment1}, {"moment2", optimizer_->moment2}});
      },
      nlohmann::json{
          {"step", step_}, {"data", config_.data}, {"best_quality", best_quality_}, {"validations_without_better", without_better_},
          {"skipped", skipped_}, {"skipped_in_a_row", skipped_in_a_row_}}
          .dump(),
      score);
}

int Trainer::run(RunDirectory* directory, bool quiet) {
  using Clock = std::chrono::steady_clock;
  StopSignals stop;
  if (directory) directory->keep(int(config_.keep_last), int(config_.keep_best)), directory->start_after(step_);
  task_->start({.first = step_ * config_.accumulate * processes_.size() + processes_.rank(), .stride = processes_.size()});
  Progress progress(Terminal::standard_error(), task_->title(), step_, config_.steps, quiet || !directory);
  auto window = Clock::now();
  int64_t window_tokens = 0;
  while (!finished()) {
    last_ = train_step();
    window_tokens += last_.tokens;
    progress.update(step_, last_.loss, last_.gradient_norm, last_.tokens);
    if (skipped_in_a_row_ > 0)
      progress.message(fmt::format("step {}: skipped, the loss is {} and the gradient norm {}; {} so far", step_, last_.loss, last_.gradient_norm, skipped_), true);
    const bool end = step_ == config_.steps;
    if (directory && (step_ % config_.log_every == 0 || end)) {
      log(*directory);
      const double seconds = std::chrono::duration<double>(Clock::now() - window).count();
      const std::pair<std::string_view, double> speed[] = {{"tokens_per_second", double(window_tokens) / seconds},
                                                           {"peak_bytes", double(context_.memory().peak)}};
      directory->speed(step_, speed);
      window = Clock::now(), window_tokens = 0;
    }
    std::optional<double> quality;
    const int64_t every = task_->validation_every();
    if (end || (every > 0 && step_ % every == 0)) {
      quality = validate(directory, progress);
      window = Clock::now(), window_tokens = 0;
    }
    const bool stopped = anybody(stop.received());
    if (quality || stopped || step_ % config_.save_every == 0) save(directory, quality);
    if (stopped && !finished()) {
      progress.message(fmt::format("{}: saved at step {}; the same command resumes", stop.received() ? stop.name() : "another process was stopped", step_), true);
      return stop.received() ? stop.exit_code() : 143;
    }
  }
  return 0;
}

}  // namespace alinea
