// alinea doctor: what this machine offers and what is missing, with two short measurements.
#include <sched.h>
#include <sndfile.h>
#include <unicode/uversion.h>
#include <zlib.h>

#include <CLI/Version.hpp>
#include <filesystem>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/bench/machine.h"
#include "apps/commands.h"
#include "data/recipes/reading.h"
#include "engine/blas/gemm.h"
#include "engine/core/device.h"

namespace alinea {

namespace {

using json = nlohmann::ordered_json;

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0) return line.substr(std::min(line.size(), line.find(':') + 2));
  return "unknown";
}

std::vector<std::string> processor_features() {
  std::vector<std::string> found;
#if defined(__x86_64__)
  if (__builtin_cpu_supports("sse4.2")) found.push_back("sse4.2");
  if (__builtin_cpu_supports("avx")) found.push_back("avx");
  if (__builtin_cpu_supports("avx2")) found.push_back("avx2");
  if (__builtin_cpu_supports("fma")) found.push_back("fma");
  if (__builtin_cpu_supports("avx512f")) found.push_back("avx512f");
  if (__builtin_cpu_supports("avx512bw")) found.push_back("avx512bw");
  if (__builtin_cpu_supports("avx512dq")) found.push_back("avx512dq");
  if (__builtin_cpu_supports("avx512vl")) found.push_back("avx512vl");
#endif
  return found;
}

int usable_cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

// Recordings of single words, which the announcements are made of: by language, where they are or which package brings them.
json recordings() {
  json found = json::object();
  const std::filesystem::path root = "/usr/share/asterisk/sounds";
  for (const std::string& language : Reading::languages()) {
    const std::filesystem::path folder = root / Reading::of(language).folder();
    if (std::filesystem::exists(folder / "digits")) found[language] = {{"found", true}, {"where", folder.string()}};
    else found[language] = {{"found", false}, {"install", fmt::format("apt-get install asterisk-core-sounds-{0} asterisk-core-sounds-{0}-g722", language)}};
  }
  return found;
}

json examine() {
  json j;
  j["alinea"] = version();
  j["processor"] = {{"name", processor_name()}, {"features", processor_features()}, {"cores", usable_cores()}, {"threads", threads()}};
  j["blas"] = blas_description();
  j["measured"] = {{"gemm_gflops", peak_gemm_gflops(Context::cpu())}, {"gemm_shape", "1024 x 1024 x 1024 fp32"}, {"copy_gb_per_second", peak_copy_gb_per_second(Context::cpu())}};
  j["cuda"] = {{"built", have_cuda}, {"driver", std::filesystem::exists("/proc/driver/nvidia/version")}, {"gpus", cuda_device_count()}};
  j["libraries"] = {{"fmt", fmt::format("{}.{}.{}", FMT_VERSION / 10000, FMT_VERSION / 100 % 100, FMT_VERSION % 100)},
                    {"nlohmann_json", fmt::format("{}.{}.{}", NLOHMANN_JSON_VERSION_MAJOR, NLOHMANN_JSON_VERSION_MINOR, NLOHMANN_JSON_VERSION_PATCH)},
                    {"CLI11", CLI11_VERSION},
                    {"libsndfile", sf_version_string()},
                    {"ICU", U_ICU_VERSION},
                    {"zlib", zlibVersion()},
                    {"compiler", __VERSION__}};
  j["recordings"] = recordings();
  return j;
}

void print_text(const json& j) {
  const auto text = [](const json& v) { return v.get<std::string>(); };
  std::string features;
  for (const auto& f : j["processor"]["features"]) features += " " + text(f);
  TextTable table({{""}, {""}});
  table.row({"alinea", text(j["alinea"])});
  table.row({"processor", text(j["processor"]["name"])});
  table.row({"features", features.empty() ? "none" : features.substr(1)});
  table.row({"cores", fmt::format("{}, {} threads", j["processor"]["cores"].get<int>(), j["processor"]["threads"].get<int>())});
  table.row({"BLAS", text(j["blas"])});
  table.row({"matrix product", fmt::format("{:.0f} GFLOP/s ({})", j["measured"]["gemm_gflops"].get<double>(), text(j["measured"]["gemm_shape"]))});
  table.row({"memory copy", fmt::format("{:.1f} GB/s (read and written)", j["measured"]["copy_gb_per_second"].get<double>())});
  table.row({"CUDA", fmt::format("{}; {}; {} GPUs usable", j["cuda"]["built"].get<bool>() ? "built in" : "not built in",
                                 j["cuda"]["driver"].get<bool>() ? "driver present" : "no driver", j["cuda"]["gpus"].get<int>())});
  for (const auto& [name, v] : j["libraries"].items()) table.row({name, text(v)});
  for (const auto& [language, r] : j["recordings"].items())
    table.row({"recordings " + language, r["found"].get<bool>() ? text(r["where"]) : "missing: " + text(r["install"])});
  fmt::print("{}", table.text());
}

}  // namespace

void add_doctor(Command program, Run& run) {
  auto o = std::make_shared<CommonOptions>();
  Command app = add_command(program, "doctor", "what this machine offers: processor, BLAS, GPU, libraries, recordings", "alinea doctor\nalinea doctor --json");
  add_common(app, *o, Common::device | Common::json);
  app.callback([o, &run] {
    run = [o] {
      context_of(*o);
      const json found = examine();
      o->json ? print_json(found) : print_text(found);
      return 0;
    };
  });
}

}  // namespace alinea
