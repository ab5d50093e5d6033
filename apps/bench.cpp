// alinea bench: time, memory and rate of single works, each beside the machine's measured peak. One JSON line a work, or a table.
#include <fnmatch.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "apps/bench/machine.h"
#include "apps/bench/work.h"
#include "apps/commands.h"

namespace alinea {

namespace {

using json = nlohmann::ordered_json;

struct BenchOptions {
  CommonOptions common;
  std::vector<std::string> patterns;
  double seconds = 1;
  bool list = false;
};

struct Peaks {
  double gflops, gb_s, read_gb_s;                           // read: where a work needs it, else 0
};

// "ops", "emma/alpha/", "attention/*/fwd/1024", a whole name; "@FORM" after it chooses one form. "models": train, forward and decode.
bool fits(const Work& w, const std::string& pattern) {
  if (pattern == "models") return fits(w, "train") || fits(w, "forward") || fits(w, "decode");
  const size_t at = pattern.find('@');
  std::string name = pattern.substr(0, at);
  if (at != std::string::npos && pattern.substr(at + 1) != w.form) return false;
  while (!name.empty() && name.back() == '/') name.pop_back();
  return name.empty() || w.name == name || w.name.rfind(name + "/", 0) == 0 || fnmatch(name.c_str(), w.name.c_str(), 0) == 0;
}

std::vector<Work> chosen(const std::vector<std::string>& patterns) {
  std::vector<Work> works;
  std::vector<bool> used(patterns.size(), false);
  for (Work& w : all_works()) {
    bool wanted = patterns.empty();
    for (size_t i = 0; i < patterns.size(); ++i)
      if (fits(w, patterns[i])) wanted = used[i] = true;
    if (wanted) works.push_back(std::move(w));
  }
  for (size_t i = 0; i < patterns.size(); ++i)
    require(used[i], "bench: no work fits '{}'; the groups are ops, attention, emma, train, forward and decode; models is the last three, alinea bench --list shows the names",
            patterns[i]);
  return works;
}

// Four significant digits: more would be noise.
double rounded(double x) { return std::isfinite(x) ? std::stod(fmt::format("{:.4g}", x)) : x; }

void add_rates(json& line, const WorkCost& cost, double ms, const Peaks& peaks) {
  if (cost.flops > 0) {
    const double rate = cost.flops / ms * 1e-6;
    line["gflops"] = rounded(rate);
    line["share"] = rounded(rate / peaks.gflops);
  } else if (cost.read > 0) {
    const double rate = cost.read / ms * 1e-6;
    line["gb_s"] = rounded(rate);
    if (peaks.read_gb_s > 0) line["share"] = rounded(rate / peaks.read_gb_s);
  } else if (cost.bytes > 0) {
    const double rate = cost.bytes / ms * 1e-6;
    line["gb_s"] = rounded(rate);
    line["share"] = rounded(rate / peaks.gb_s);
  }
}

// A work that this device has no kernel for is skipped with that reason; any other error is a failure.
json run_work(Context& context, const Work& w, const BenchOptions& o, const Peaks& peaks) {
  json line = {{"work", w.name}, {"form", w.form}, {"exact", w.exact}, {"shape", w.shape}};
  if (!w.make) {
    line["skipped"] = w.skipped;
    return line;
  }
  try {
    const Measurement m = measure(context, w.make(context), o.seconds);
    line.update({{"ms", rounded(m.ms)}, {"median_ms", rounded(m.median_ms)}, {"cpu_ms", rounded(m.cpu_ms)}});
    if (m.mem_mb) line["mem_mb"] = rounded(*m.mem_mb);
    add_rates(line, w.cost, m.ms, peaks);
    line["samples"] = m.samples;
  } catch (const Error& e) {
    line[e.kind() == Exit::device ? "skipped" : "failed"] = e.what();
  } catch (const std::bad_alloc&) {
    line["skipped"] = "out of memory";
  }
  line.update({{"device", context.device() == Device::cpu ? "cpu" : "cuda"}, {"dtype", w.dtype}, {"threads", threads()}});
  if (o.common.dtype != "fp32") line["products"] = o.common.dtype;
  return line;
}

std::string cell(const json& line, const char* key) { return line.contains(key) ? fmt::format("{:g}", line[key].get<double>()) : ""; }

void add_row(TextTable& table, const json& line) {
  const auto text = [&](const char* key) { return line[key].get<std::string>(); };
  std::string rate;
  if (line.contains("gflops")) rate = cell(line, "gflops") + " GFLOP/s";
  if (line.contains("gb_s")) rate = cell(line, "gb_s") + " GB/s";
  const std::string share = line.contains("share") ? fmt::format("{:.0f} %", 100 * line["share"].get<double>()) : "";
  std::string remark = line["exact"].get<bool>() ? "" : "inexact";
  for (const char* key : {"skipped", "failed"})
    if (line.contains(key)) remark = fmt::format("{}: {}", key, text(key));
  table.row({text("work"), text("form"), cell(line, "ms"), cell(line, "median_ms"), cell(line, "cpu_ms"), cell(line, "mem_mb"), rate, share,
             remark});
}

int list_works(const std::vector<Work>& works) {
  TextTable table({{"work"}, {"form"}, {"shape"}});
  for (const Work& w : works) table.row({w.name, w.form, w.shape});
  fmt::print("{}", table.text());
  return 0;
}

int bench(const BenchOptions& o) {
  const std::vector<Work> works = chosen(o.patterns);
  if (o.list) return list_works(works);
  Context& context = context_of(o.common);
  const bool lines = o.common.json || !isatty(STDOUT_FILENO);
  const bool reads = std::any_of(works.begin(), works.end(), [](const Work& w) { return w.cost.read > 0; });
  const Peaks peaks{peak_gemm_gflops(context), peak_copy_gb_per_second(context), reads ? peak_read_gb_per_second(context) : 0};
  if (lines) {
    fmt::print(
        "{}\n{}\n",
        json{{"work", "peak/gemm"}, {"shape", "[1024,1024] x [1024,1024]"}, {"gflops", rounded(peaks.gflops)}, {"threads", threads()}}
            .dump(),
        json{{"work", "peak/copy"}, {"shape", "64 MiB, read and written"}, {"gb_s", rounded(peaks.gb_s)}, {"threads", threads()}}.dump());
    if (reads) fmt::print("{}\n", json{{"work", "peak/read"}, {"shape", "512 MiB"}, {"gb_s", rounded(peaks.read_gb_s)}, {"threads", threads()}}.dump());
  } else {
    fmt::print("{}, {} threads: at most {:.0f} GFLOP/s (matrix product), {:.1f} GB/s (copy, read and written){}\n\n", context.name(), threads(), peaks.gflops,
               peaks.gb_s, reads ? fmt::format(", {:.1f} GB/s (read)", peaks.read_gb_s) : "");
  }
  TextTable table(
      {{"work"}, {"form"}, {"ms", true}, {"median", true}, {"cpu ms", true}, {"MB", true}, {"rate", true}, {"of peak", true}, {""}});
  int failures = 0;
  for (size_t i = 0; i < works.size(); ++i) {
    note(o.common, "[{}/{}] {} {}", i + 1, works.size(), works[i].name, works[i].form);
    const json line = run_work(context, works[i], o, peaks);
    failures += line.contains("failed");
    if (lines) {
      fmt::print("{}\n", line.dump());
      std::fflush(stdout);  // a reader sees each work as it ends
    } else {
      add_row(table, line);
    }
  }
  if (!lines) fmt::print("{}", table.text());
  return failures == 0 ? 0 : int(Exit::failed);
}

}  // namespace

void add_bench(Command program, Run& run) {
  auto o = std::make_shared<BenchOptions>();
  Command app = add_command(
      program, "bench", "time, memory and rate of single works beside the machine's measured peak; JSON lines when stdout is no terminal",
      "alinea bench ops --threads 2\nalinea bench 'attention/*/fwd/1024' emma/alpha@recurrence\nalinea bench train --json > train.jsonl");
  app.add_option("works", o->patterns,
                  "ops, attention, emma, train, forward, decode (models: these three), the beginning of a name or a pattern, @FORM after it for one form; all if none is given")
      .type_name("GROUP|PATTERN");
  app.add_option("--seconds", o->seconds, "for each work, after its warm-up").positive().show_default();
  app.add_flag("--list", o->list, "only show the works");
  add_common(app, o->common, Common::device | Common::dtype | Common::json);
  app.callback([o, &run] { run = [o] { return bench(*o); }; });
}

}  // namespace alinea
