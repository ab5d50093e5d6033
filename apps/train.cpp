#include <sys/utsname.h>

#include <new>

#include "apps/commands.h"
#include "apps/trainer.h"
#include "engine/blas/gemm.h"

namespace alinea {

namespace {

struct TrainOptions {
  CommonOptions common;
  std::string data, out, resume = "auto", init;
};

std::string products_of(const Context& context) { return std::string(precision_names[size_t(precision_of(context))]); }

// The losses of a run are comparable only while it multiplies as it began.
void refuse_other_products(const std::filesystem::path& run, const Context& context) {
  const std::string began = RunDirectory::environment(run, "products", "fp32"), now = products_of(context);
  require(began == now, "train: {} was begun with products in {}, now they would be in {}; add --dtype {}, or start another run from it with --init-from", run.string(), began, now, began);
}

RunDirectory::Environment environment(Context& context) {
  utsname system{};
  uname(&system);
  return {{"version", std::string(version())}, {"device", context.name()}, {"threads", std::to_string(threads())}, {"blas", blas_description()}, {"products", products_of(context)},
          {"system", std::string(system.sysname) + " " + system.release + " " + system.machine}};
}

// The other processes would wait for ever for one that failed.
int train_together(Context& context, const Config& file, const TrainOptions& o) {
  const auto complain = [](int code, const char* what) {
    Processes& all = Processes::world();
    if (all.size() > 1) fmt::print(stderr, "alinea: process {} of {}: {}\n", all.rank(), all.size(), what), all.abort(code);
  };
  try {
    return run_training(context, file, o.out, o.init, o.common.quiet);
  } catch (const Error& e) {
    complain(int(e.kind()), e.what());
    throw;
  } catch (const std::bad_alloc& e) {
    complain(int(Exit::device), "out of memory; use smaller batches or a smaller model");
    throw;
  }
}

int train(const TrainOptions& o) {
  Context& context = context_of(o.common);
  require(o.resume == "auto" || o.resume == "never", "train: --resume is auto or never, not '{}'", o.resume);
  require(!RunDirectory::exists(o.out) || o.resume == "auto", "train: {} already holds a run; choose another --out or --resume auto", o.out);
  Config file = config_of(o.common);
  if (!o.data.empty()) file.set("data", o.data);
  if (o.common.seed) file.set("seed", std::to_string(*o.common.seed));
  return train_together(context, file, o);
}

}  // namespace

int run_training(Context& context, Config file, const std::filesystem::path& out, const std::filesystem::path& init, bool quiet) {
  const bool resumes = RunDirectory::exists(out);
  if (resumes) refuse_other_products(out, context), file = Config::file(out / "config.json");
  const auto checkpoint = resumes ? RunDirectory::last(out) : std::nullopt;
  Trainer trainer(context, make_task(context, file, checkpoint ? checkpoint->path : init));
  if (checkpoint) {
    trainer.resume(*checkpoint);
    if (trainer.finished()) {
      if (!quiet) fmt::print(stderr, "train: {} is complete ({} steps)\n", out.string(), checkpoint->step);
      return 0;
    }
    if (!quiet) fmt::print(stderr, "train: {} continues after step {}\n", out.string(), checkpoint->step);
  }
  Processes::world().barrier();                             // all have looked for a run before there is one
  if (!Processes::world().first()) return trainer.run(nullptr, quiet);
  RunDirectory run = resumes ? RunDirectory::open(out) : RunDirectory::create(out, trainer.task().resolved(), environment(context));
  return trainer.run(&run, quiet);
}

void add_train(Command program, Run& run) {
  auto o = std::make_shared<TrainOptions>();
  Command app = add_command(program, "train", "train a model: speech translation (offline, then EMMA or wait-k from it), text, wav2vec2 (pretrain, then ctc from it), or wav2vec2 with mBART's decoder",
                              "alinea train --config configs/announcements/offline.json --data data-announcements --out runs/offline\n"
                              "alinea train --config configs/announcements/emma.json --data data-announcements --init-from runs/offline --out runs/emma\n"
                              "alinea train --config configs/announcements/emma.json --set loss.latency=0.05 --seed 2 --data DIR --init-from runs/offline --out runs/emma2\n"
                              "alinea train --config configs/nmt/base.json --data data-text --out runs/text\n"
                              "alinea train --config configs/wav2vec2/ctc_small.json --data data-prompts --init-from runs/pretrain --out runs/ctc\n"
                              "alinea train --config configs/wav2vec2/translation.json --data DIR --init-from facebook-wav2vec2 --set decoder_from=facebook-mbart --out runs/st");
  add_common(app, o->common);
  app.add_option("--data", o->data, "prepared data directory");
  app.add_option("--out", o->out, "run directory; an unfinished run there is resumed").required();
  app.add_option("--resume", o->resume, "auto or never");
  app.add_option("--init-from", o->init, "run or model directory to start from");
  app.callback([o, &run] { run = [o] { return train(*o); }; });
}

}  // namespace alinea
