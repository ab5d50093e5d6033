// Errors carry the exit code of the program; every message names the place, what was found, what was expected, and the fix.
#pragma once
#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace alinea {

/// Exit codes of the program (0 is success; 130 and 143 follow SIGINT and SIGTERM after saving).
enum class Exit { failed = 1, usage = 2, data = 3, device = 4, diverged = 5 };

class Error : public std::runtime_error {
 public:
  Error(Exit kind, const std::string& message) : std::runtime_error(message), kind_(kind) {}
  Exit kind() const { return kind_; }

 private:
  Exit kind_;
};

/// Throws Error{kind} with a formatted message.
template <class... A>
[[noreturn]] void fail(Exit kind, fmt::format_string<A...> format, A&&... arguments) {
  throw Error(kind, fmt::vformat(format, fmt::make_format_args(arguments...)));
}

/// Throws Error{usage} unless `ok`. Never compiled out. The message is formatted only on failure.
template <class... A>
void require(bool ok, fmt::format_string<A...> format, A&&... arguments) {
  if (!ok) [[unlikely]] fail(Exit::usage, format, std::forward<A>(arguments)...);
}

/// Throws Error{data} unless `ok`: bad input data or a bad model file.
template <class... A>
void require_data(bool ok, fmt::format_string<A...> format, A&&... arguments) {
  if (!ok) [[unlikely]] fail(Exit::data, format, std::forward<A>(arguments)...);
}

}  // namespace alinea
