// alinea average: the mean of the weights of several checkpoints of one training (Vaswani et al. 2017, section 6.1), summed in double.
#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/commands.h"
#include "apps/model_files.h"
#include "apps/run_directory.h"
#include "engine/core/parallel.h"

namespace alinea {

namespace {

namespace fs = std::filesystem;

struct AverageOptions {
  CommonOptions common;
  std::vector<std::string> inputs;
  int last = 0, best = 0;
  fs::path out;
};

// The checkpoints of a run that --last or --best mean, oldest first.
std::vector<fs::path> chosen(const fs::path& run, const AverageOptions& o) {
  std::vector<SavedCheckpoint> all = RunDirectory::checkpoints(run);
  if (o.best > 0) {
    std::erase_if(all, [](const SavedCheckpoint& c) { return !c.score; });
    std::stable_sort(all.begin(), all.end(), [](const SavedCheckpoint& a, const SavedCheckpoint& b) { return *a.score > *b.score; });
  } else {
    std::reverse(all.begin(), all.end());
  }
  const size_t wanted = size_t(std::max(o.last, o.best));
  require(all.size() >= wanted, "average: {} keeps {} {}checkpoints, {} are asked for; lower the number, or train with a larger train.keep_{}", run.string(), all.size(),
          o.best > 0 ? "scored " : "", wanted, o.best > 0 ? "best" : "last");
  all.resize(wanted);
  std::sort(all.begin(), all.end(), [](const SavedCheckpoint& a, const SavedCheckpoint& b) { return a.step < b.step; });
  std::vector<fs::path> paths;
  for (const SavedCheckpoint& c : all) paths.push_back(c.path);
  return paths;
}

std::vector<fs::path> inputs_of(const AverageOptions& o) {
  require(o.last == 0 || o.best == 0, "average: --last and --best exclude each other");
  if (o.inputs.size() == 1 && fs::is_directory(o.inputs[0]) && RunDirectory::exists(o.inputs[0])) {
    require(o.last > 0 || o.best > 0, "average: {} is a run; say which checkpoints with --last N or --best N", o.inputs[0]);
    return chosen(o.inputs[0], o);
  }
  require(o.last == 0 && o.best == 0, "average: --last and --best choose checkpoints of one run, which {} is not", o.inputs[0]);
  require(o.inputs.size() >= 2, "average: one model has no mean; give a run, or two or more models");
  return {o.inputs.begin(), o.inputs.end()};
}

// Every model has the tensors of the first one, with equal shapes and dtypes.
void refuse_difference(const Checkpoint& first, const Checkpoint& other) {
  require_data(first.entries().size() == other.entries().size(), "{} has {} tensors, {} has {}; these are not checkpoints of one model", first.place(), first.entries().size(), other.place(),
               other.entries().size());
  for (const TensorEntry& e : first.entries()) {
    require_data(other.has(e.name), "{} has a tensor '{}', which {} lacks; these are not checkpoints of one model", first.place(), shown(e.name), other.place());
    const TensorEntry& o = other.entry(e.name);
    require_data(o.shape == e.shape && o.dtype == e.dtype, "tensor '{}' is {} {} in {} and {} {} in {}; these are not checkpoints of one model", shown(e.name), e.dtype, e.shape, first.place(),
                 o.dtype, o.shape, other.place());
  }
}

// Beside the result only mapped files are in memory (F16 is widened).
Tensor mean_of(const std::vector<Checkpoint>& models, const TensorEntry& e) {
  if (!is_floating(e.dtype)) return models.back().load(e.name, Context::cpu(), Checkpoint::Bf16::keep);   // counters: the newest
  std::vector<Tensor> all;
  for (const Checkpoint& model : models) all.push_back(model.load(e.name, Context::cpu(), Checkpoint::Bf16::keep));
  const Tensor mean = Context::cpu().empty(e.shape, e.dtype == "F64" ? DType::f64 : DType::f32);
  with_any(all[0].dtype(), [&]<class From>() {
    with_float(mean.dtype(), "average", [&]<class To>() {
      To* out = mean.data<To>();
      std::vector<const From*> in;
      for (const Tensor& t : all) in.push_back(t.data<From>());
      parallel_for(mean.count(), 65536, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          double sum = 0;
          for (const From* x : in) sum += double(x[i]);
          out[i] = To(sum / double(in.size()));
        }
      });
    });
  });
  return mean;
}

int average(const AverageOptions& o) {
  refuse_existing(o.out, "average");
  const std::vector<fs::path> inputs = inputs_of(o);
  std::vector<Checkpoint> models;
  for (const fs::path& input : inputs) {
    models.push_back(Checkpoint::open(input));
    models.back().verify();
    refuse_difference(models.front(), models.back());
  }
  SaveOptions options;
  std::vector<OutgoingTensor> tensors;
  for (const TensorEntry& e : models.front().entries()) {
    if (e.same_as.empty()) tensors.push_back({e.name, e.dtype, e.shape, [&models, e] { return mean_of(models, e); }});
    else options.metadata[e.name] = e.same_as;
  }
  write_model(o.out, tensors, options, inputs.back());
  for (const fs::path& input : inputs) note(o.common, "{}", input.string());
  note(o.common, "{}: the mean of {} models, {} tensors", o.out.string(), models.size(), tensors.size());
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const fs::path& input : inputs) list.push_back(input.string());
  if (o.common.json) print_json({{"out", o.out.string()}, {"inputs", list}, {"tensors", tensors.size()}});
  return 0;
}

}  // namespace

void add_average(Command program, Run& run) {
  auto o = std::make_shared<AverageOptions>();
  Command app = add_command(program, "average", "the mean of the weights of several checkpoints",
                            "alinea average runs/wmt --last 5 -o wmt-averaged\nalinea average runs/wmt --best 3 -o wmt-averaged\nalinea average a/model.safetensors b/model.safetensors -o mean.safetensors");
  app.add_option("inputs", o->inputs, "a run, or models: folders or files of weights").required().type_name("RUN|MODEL…");
  app.add_option("--last", o->last, "of a run: the N newest checkpoints").range(1, 1000000).type_name("N");
  app.add_option("--best", o->best, "of a run: the N with the highest scores").range(1, 1000000).type_name("N");
  app.add_option("-o,--out", o->out, "NAME.safetensors, or a new folder: it gets configuration and vocabularies of the newest").required().type_name("OUT");
  add_common(app, o->common, Common::json);
  app.callback([o, &run] { run = [o] { return average(*o); }; });
}

}  // namespace alinea
