// What the subcommands share: options of the same name and meaning everywhere, and where output goes. Data goes to stdout, messages to
// stderr.
#pragma once
#include <fmt/core.h>

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/command_line.h"
#include "engine/core/config.h"
#include "engine/core/context.h"

namespace alinea {

struct CommonOptions {
  std::string config;                 // --config FILE.json
  std::vector<std::string> set;       // --set a.b=value, in order
  std::string device = "auto";        // --device auto|cpu|cuda[:N]
  std::string dtype = "fp32";         // --dtype fp32|tf32|bf16, of products
  int threads = 0;                    // --threads N; 0: one per core
  std::optional<uint64_t> seed;       // --seed N
  bool json = false;                  // --json: machine-readable on stdout
  bool quiet = false;                 // -q: only warnings and errors
  bool verbose = false;               // -v
};

/// Which of the common options a command takes; -q and -v are always there.
enum class Common : unsigned { none = 0, config = 1, device = 2, dtype = 4, seed = 8, json = 16, all = 31 };   // device: and --threads
constexpr Common operator|(Common a, Common b) { return Common(unsigned(a) | unsigned(b)); }
constexpr bool has(Common set, Common flag) { return (unsigned(set) & unsigned(flag)) != 0; }

/// A subcommand with its examples (one per line) at the end of --help.
Command add_command(Command parent, const std::string& name, const std::string& description, const std::string& examples);
void add_common(Command app, CommonOptions& options, Common which = Common::all);

/// The context of --device, with --threads and the precision of products set. Error{device} when the device is not there or cannot compute in --dtype.
Context& context_of(const CommonOptions& options);
/// The file of --config (or an empty tree), then every --set in order.
Config config_of(const CommonOptions& options);

/// Refuses options that were given although they mean nothing here: "eval: --policy …".
void refuse_given(const Command app, std::initializer_list<const char*> names, std::string_view why);

/// JSON on stdout, indented, with a final newline. Numbers keep all digits; NaN and infinities become null.
void print_json(const nlohmann::ordered_json& value);
/// One line on stderr, unless -q.
template <class... A>
void note(const CommonOptions& options, fmt::format_string<A...> format, A&&... arguments) {
  if (!options.quiet) fmt::print(stderr, "{}\n", fmt::vformat(format, fmt::make_format_args(arguments...)));
}
/// "1.5 MB", "312 B": decimal units.
std::string show_bytes(double bytes);

/// A table of text: columns as wide as their longest cell, numbers (right = true) to the right. Empty heads print no head line.
class TextTable {
 public:
  struct Column {
    std::string head;
    bool right = false;
  };
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}
  void row(std::vector<std::string> cells) { rows_.push_back(std::move(cells)); }
  std::string text() const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// Lines of a text file without line ends (\n or \r\n). Error{data} when it can't be read.
std::vector<std::string> read_lines(const std::string& path);

/// The release of this program.
std::string_view version();

}  // namespace alinea
