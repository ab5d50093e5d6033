// The subcommands of the program: one file each, with one function that registers it. Adding one: its function here, its name in the table
// of main.cpp, its file in meson.build.
//
//   void add_doctor(Command program, Run& run) {
//     auto o = std::make_shared<DoctorOptions>();            // lives as long as the program; holds a CommonOptions
//     Command app = add_command(program, "doctor", "what this machine offers", "alinea doctor --json");
//     add_common(app, o->common, Common::device | Common::json);
//     app.add_flag("--slow", o->slow, "measure longer");
//     app.callback([o, &run] { run = [o] { return doctor(*o); }; });
//   }
//
// Parsing only fills options and chooses `run`; main calls it afterwards. It returns the exit code, or throws Error.
#pragma once
#include <functional>

#include "apps/common.h"

namespace alinea {

using Run = std::function<int()>;

void add_analyze(Command program, Run& run);
void add_average(Command program, Run& run);
void add_bench(Command program, Run& run);
void add_convert(Command program, Run& run);
void add_data(Command program, Run& run);
void add_demo(Command program, Run& run);
void add_doctor(Command program, Run& run);
void add_eval(Command program, Run& run);
void add_experiment(Command program, Run& run);
void add_explain(Command program, Run& run);
void add_gradcheck(Command program, Run& run);
void add_inspect(Command program, Run& run);
void add_op(Command program, Run& run);
void add_plot(Command program, Run& run);
void add_score(Command program, Run& run);
void add_tokenizer(Command program, Run& run);
void add_train(Command program, Run& run);
void add_translate(Command program, Run& run);

}  // namespace alinea
