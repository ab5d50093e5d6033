// The command line: commands with options, flags and positional arguments. What parses it (CLI11) is seen by command_line.cpp alone, since its
// headers cost more time to compile than most commands.
#pragma once
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace alinea {

/// An option, a flag or a positional argument. Each call narrows it and returns it again.
class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option required() const;
  Option type_name(const std::string& name) const;           // how --help calls the value
  Option show_default() const;                               // --help tells the value that the variable has now
  Option one_at_a_time() const;                              // of a list: repeat the option for each value
  Option expected(int least, int most) const;                // how many values
  Option positive() const;
  Option range(int least, int most) const;
  Option range(double least, double most) const;
  Option one_of(const std::vector<std::string>& values) const;
  Option one_of(std::initializer_list<int> values) const;

 private:
  CLI::Option* option_;
};

/// The program, or one of its commands. A view: it lives as long as the CommandLine.
class Command {
 public:
  explicit Command(CLI::App* app) : app_(app) {}
  Command add_command(const std::string& name, const std::string& description) const;
  /// `name` is "--long", "-s,--long", or a word without dashes for a positional argument.
  /// T: std::string, std::filesystem::path, int, int64_t, double, std::optional<uint64_t>, std::vector<std::string> or std::vector<double>.
  template <class T>
  Option add_option(const std::string& name, T& value, const std::string& help) const;
  Option add_flag(const std::string& name, bool& value, const std::string& help) const;
  void footer(const std::string& text) const;                // below the options in --help
  void require_command() const;                              // exactly one of its commands must be given
  void callback(std::function<void()> chosen) const;         // called after everything has been read
  bool given(const std::string& option) const;
  std::string name() const;

 private:
  CLI::App* app_;
};

class CommandLine {
 public:
  CommandLine(const std::string& name, const std::string& description, const std::string& version);
  ~CommandLine();
  Command root() { return Command(app_.get()); }
  /// Reads the arguments. The exit code if that was all: --help, --version, or an argument that is wrong, which is told on stderr.
  std::optional<int> parse(int argc, char** argv);

 private:
  std::unique_ptr<CLI::App> app_;
};

}  // namespace alinea
