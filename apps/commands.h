// The subcommands of the program: one file each, with one function that registers it. Adding one: its function here, its name in the table
// of main.cpp, its file in meson.build.
//
//   void add_doctor(CLI::App& program, Run& run) {
//     auto o = std::make_shared<DoctorOptions>();            // lives as long as the program; holds a CommonOptions
//     CLI::App* app = add_command(program, "doctor", "what this machine offers", "alinea doctor --json");
//     add_common(*app, o->common, Common::device | Common::json);
//     app->add_flag("--slow", o->slow, "measure longer");
//     app->callback([o, &run] { run = [o] { return doctor(*o); }; });
//   }
//
// Parsing only fills options and chooses `run`; main calls it afterwards. It returns the exit code, or throws Error.
#pragma once
#include <functional>

#include "apps/common.h"

namespace alinea {

using Run = std::function<int()>;

void add_bench(CLI::App& program, Run& run);
void add_data(CLI::App& program, Run& run);
void add_demo(CLI::App& program, Run& run);
void add_doctor(CLI::App& program, Run& run);
void add_eval(CLI::App& program, Run& run);
void add_experiment(CLI::App& program, Run& run);
void add_explain(CLI::App& program, Run& run);
void add_gradcheck(CLI::App& program, Run& run);
void add_inspect(CLI::App& program, Run& run);
void add_op(CLI::App& program, Run& run);
void add_plot(CLI::App& program, Run& run);
void add_score(CLI::App& program, Run& run);
void add_train(CLI::App& program, Run& run);
void add_translate(CLI::App& program, Run& run);

}  // namespace alinea
