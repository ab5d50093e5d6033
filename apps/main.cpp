// The program `alinea`. Exit codes: 0 ok, 1 a check or score fell short, 2 usage or configuration, 3 bad input data or model file,
// 4 device or memory, 5 diverged, 130/143 stopped by SIGINT/SIGTERM after saving.
#include <exception>
#include <new>

#include "apps/commands.h"
#include "engine/core/waiting.h"

using namespace alinea;

namespace {

constexpr void (*commands[])(Command, Run&) = {
    add_doctor, add_data, add_train, add_eval, add_translate, add_experiment, add_score, add_gradcheck, add_explain, add_analyze, add_plot, add_op, add_tokenizer, add_inspect, add_convert, add_average, add_bench, add_demo,
};

int run_program(int argc, char** argv) {
  CommandLine line("alinea", "Alinea: attention models for speech translation, from the tensor up", "alinea " + std::string(version()));
  const Command program = line.root();
  program.footer("Examples:\n  ./run demo\n  alinea doctor\n  alinea COMMAND --help");
  program.require_command();
  Run run;
  for (const auto add : commands) add(program, run);
  if (const auto code = line.parse(argc, argv)) return *code;
  return run();
}

int complain(int code, const char* message) {
  fmt::print(stderr, "alinea: {}\n", message);
  return code;
}

}  // namespace

int main(int argc, char** argv) {
  spin_briefly(argv);
  try {
    const int code = run_program(argc, argv);
    if (std::fflush(stdout) != 0) return complain(int(Exit::data), "stdout: not all of the output could be written; is the disk full?");
    return code;
  } catch (const Error& e) {
    return complain(int(e.kind()), e.what());
  } catch (const std::bad_alloc&) {
    return complain(int(Exit::device), "out of memory; use smaller batches (--set train.max_tokens=…) or a smaller model");
  } catch (const std::exception& e) {
    return complain(int(Exit::failed), e.what());
  }
}
