#include "apps/command_line.h"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <filesystem>

#include "engine/core/error.h"

namespace alinea {

Option Option::required() const { return Option(option_->required()); }
Option Option::type_name(const std::string& name) const { return Option(option_->type_name(name)); }
Option Option::show_default() const { return Option(option_->capture_default_str()); }
Option Option::one_at_a_time() const { return Option(option_->allow_extra_args(false)); }
Option Option::expected(int least, int most) const { return Option(option_->expected(least, most)); }
Option Option::positive() const { return Option(option_->check(CLI::PositiveNumber)); }
Option Option::range(int least, int most) const { return Option(option_->check(CLI::Range(least, most))); }
Option Option::range(double least, double most) const { return Option(option_->check(CLI::Range(least, most))); }
Option Option::one_of(const std::vector<std::string>& values) const { return Option(option_->check(CLI::IsMember(values))); }
Option Option::one_of(std::initializer_list<int> values) const { return Option(option_->check(CLI::IsMember(values))); }

Command Command::add_command(const std::string& name, const std::string& description) const { return Command(app_->add_subcommand(name, description)); }
template <class T>
Option Command::add_option(const std::string& name, T& value, const std::string& help) const {
  return Option(app_->add_option(name, value, help));
}
Option Command::add_flag(const std::string& name, bool& value, const std::string& help) const { return Option(app_->add_flag(name, value, help)); }
void Command::footer(const std::string& text) const { app_->footer(text); }
void Command::require_command() const { app_->require_subcommand(1); }
void Command::callback(std::function<void()> chosen) const { app_->callback(std::move(chosen)); }
bool Command::given(const std::string& option) const { return app_->get_option(option)->count() > 0; }
std::string Command::name() const { return app_->get_name(); }

template Option Command::add_option(const std::string&, std::string&, const std::string&) const;
template Option Command::add_option(const std::string&, std::filesystem::path&, const std::string&) const;
template Option Command::add_option(const std::string&, int&, const std::string&) const;
template Option Command::add_option(const std::string&, int64_t&, const std::string&) const;
template Option Command::add_option(const std::string&, double&, const std::string&) const;
template Option Command::add_option(const std::string&, std::optional<uint64_t>&, const std::string&) const;
template Option Command::add_option(const std::string&, std::vector<std::string>&, const std::string&) const;
template Option Command::add_option(const std::string&, std::vector<double>&, const std::string&) const;

CommandLine::CommandLine(const std::string& name, const std::string& description, const std::string& version) : app_(std::make_unique<CLI::App>(description, name)) {
  app_->set_version_flag("--version", version);
  app_->failure_message([](const CLI::App*, const CLI::Error& e) { return fmt::format("alinea: {}; alinea COMMAND --help shows what is possible\n", e.what()); });
}
CommandLine::~CommandLine() = default;

std::optional<int> CommandLine::parse(int argc, char** argv) {
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app_->exit(e) == 0 ? 0 : int(Exit::usage);
  }
  return std::nullopt;
}

}  // namespace alinea
