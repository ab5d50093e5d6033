#include "apps/common.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/blas/gemm.h"
#include "engine/core/error.h"
#include "engine/core/files.h"

namespace alinea {

Command add_command(Command parent, const std::string& name, const std::string& description, const std::string& examples) {
  Command app = parent.add_command(name, description);
  std::string footer = "Examples:\n  ";
  for (const char c : examples) footer += c == '\n' ? std::string("\n  ") : std::string(1, c);
  app.footer(footer);
  return app;
}

void add_common(Command app, CommonOptions& options, Common which) {
  if (has(which, Common::config)) {
    app.add_option("--config", options.config, "configuration (JSON, comments allowed)").type_name("FILE");
    app.add_option("--set", options.set, "set one value of the configuration, e.g. --set train.seed=2; may be repeated")
        .type_name("NAME=VALUE")
        .one_at_a_time();
  }
  if (has(which, Common::device)) {
    app.add_option("--device", options.device, "auto, cpu, cuda or cuda:N").show_default();
    app.add_option("--threads", options.threads, "threads of the CPU; 0: one per core")
        .show_default()
        .range(0, 4096);
  }
  if (has(which, Common::dtype))
    app.add_option("--dtype", options.dtype, "how products are computed: fp32; on a GPU also tf32 or bf16, which round their factors (weights and sums stay fp32)")
        .show_default()
        .one_of({precision_names.begin(), precision_names.end()});
  if (has(which, Common::seed)) app.add_option("--seed", options.seed, "seed of all random numbers");
  if (has(which, Common::json)) app.add_flag("--json", options.json, "machine-readable output on stdout");
  app.add_flag("-q,--quiet", options.quiet, "only warnings and errors on stderr");
  app.add_flag("-v,--verbose", options.verbose, "more on stderr");
}

Context& context_of(const CommonOptions& options) {
  set_threads(options.threads);
  Context& context = Context::from_name(options.device);
  if (options.dtype != "fp32" && context.device() == Device::cpu)
    fail(Exit::device, "--dtype {}: the CPU computes in fp32 only; leave the option out, or choose a GPU with --device cuda", options.dtype);
  const auto name = std::find(precision_names.begin(), precision_names.end(), options.dtype);   // one of them, or parsing had failed
  set_precision(context, Precision(name - precision_names.begin()));
  return context;
}

Config config_of(const CommonOptions& options) {
  Config config = options.config.empty() ? Config() : Config::file(options.config);
  for (const std::string& assignment : options.set) config.assign(assignment);
  return config;
}

void refuse_given(const Command app, std::initializer_list<const char*> names, std::string_view why) {
  for (const char* name : names) require(!app.given(name), "{}: {} {}; leave it out", app.name(), name, why);
}

void print_json(const nlohmann::ordered_json& value) {
  fmt::print("{}\n", value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
}

std::string show_bytes(double bytes) {
  constexpr std::array units{"B", "kB", "MB", "GB", "TB"};
  size_t unit = 0;
  while (bytes >= 1000 && unit + 1 < units.size()) bytes /= 1000, ++unit;
  return unit == 0 ? fmt::format("{:.0f} B", bytes) : fmt::format("{:.2f} {}", bytes, units[unit]);
}

namespace {

// Columns of a terminal: bytes of UTF-8 that start a character (all text here is of single width).
size_t width_of(const std::string& text) {
  return size_t(std::count_if(text.begin(), text.end(), [](char c) { return (uint8_t(c) & 0xC0) != 0x80; }));
}

}  // namespace

std::string TextTable::text() const {
  std::vector<std::string> heads;
  for (const Column& c : columns_) heads.push_back(c.head);
  const bool headed = std::any_of(heads.begin(), heads.end(), [](const std::string& h) { return !h.empty(); });
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    widths.push_back(width_of(heads[i]));
    for (const auto& r : rows_) widths[i] = std::max(widths[i], width_of(r[i]));
  }
  std::string out;
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (size_t i = 0; i < cells.size(); ++i) {
      const std::string fill(widths[i] - width_of(cells[i]), ' ');
      text += (i ? "  " : "") + (columns_[i].right ? fill + cells[i] : cells[i] + fill);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  if (headed) line(heads);
  for (const auto& r : rows_) line(r);
  return out;
}

std::vector<std::string> read_lines(const std::string& path) {
  const std::string text = read_file(path);
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = text.find('\n', begin);
    if (end == std::string::npos) end = text.size();
    const size_t last = end > begin && text[end - 1] == '\r' ? end - 1 : end;
    lines.push_back(text.substr(begin, last - begin));
    begin = end + 1;
  }
  return lines;
}

std::string_view version() { return ALINEA_VERSION; }

}  // namespace alinea
