#include "apps/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace alinea {
namespace {
constexpr double memory_seconds = 10;  // of the token rate
constexpr std::string_view erase_line = "\r\x1b[K", dim = "\x1b[2m", green = "\x1b[32m", plain = "\x1b[0m";

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value && *value;
}
}  // namespace

Terminal Terminal::standard_error() {
  Terminal t;
  const char* kind = std::getenv("TERM");
  t.interactive = ::isatty(STDERR_FILENO) && kind && std::string_view(kind) != "dumb";
  t.colour = t.interactive && !is_set("NO_COLOR");
  winsize size = {};
  if (t.interactive && ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) t.width = size.ws_col;
  t.write = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stderr);
    std::fflush(stderr);
  };
  t.seconds = [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
  return t;
}

std::string show_duration(double seconds) {
  if (!std::isfinite(seconds) || seconds > 1e9) return "?";
  const int64_t s = int64_t(std::ceil(seconds));
  return s < 3600 ? fmt::format("{}:{:02d}", s / 60, s % 60) : fmt::format("{}:{:02d}:{:02d}", s / 3600, s / 60 % 60, s % 60);
}

std::string show_count(double value) {
  return value < 1e3   ? fmt::format("{:.0f}", value)
         : value < 1e6 ? fmt::format("{:.1f}k", value / 1e3)
                       : fmt::format("{:.2f}M", value / 1e6);
}

Progress::Progress(Terminal terminal, std::string title, int64_t done, int64_t total, bool quiet)
    : terminal_(std::move(terminal)), title_(std::move(title)), first_(done), step_(done), total_(total), quiet_(quiet) {
  started_ = last_drawn_ = last_update_ = terminal_.seconds();
}

Progress::~Progress() {
  if (drawn_) terminal_.write("\n");
}

double Progress::tokens_per_second() const { return recent_seconds_ > 0 ? recent_tokens_ / recent_seconds_ : 0; }

void Progress::update(int64_t step, double loss, double gradient_norm, int64_t tokens) {
  const double now = terminal_.seconds(), passed = now - last_update_, kept = std::exp(-passed / memory_seconds);
  recent_tokens_ = recent_tokens_ * kept + double(tokens);
  recent_seconds_ = recent_seconds_ * kept + passed;
  last_update_ = now;
  step_ = step;
  loss_ = loss;
  gradient_norm_ = gradient_norm;
  if (step == total_ || now - last_drawn_ >= (terminal_.interactive ? 0.1 : 10)) draw(now);
}

// Figures first; the bar takes what is left of the width.
std::string Progress::line(double now) const {
  const double share = total_ > 0 ? std::clamp(double(step_) / double(total_), 0.0, 1.0) : 1;
  const double per_step = step_ > first_ ? (now - started_) / double(step_ - first_) : INFINITY;
  const std::string figures = fmt::format("{}/{}  loss {:.4f}  grad {:.3f}  {} tok/s  ETA {}", step_, total_, loss_, gradient_norm_,
                                          show_count(tokens_per_second()), show_duration(per_step * double(total_ - step_)));
  const std::string head = fmt::format("{} {:3.0f}%", title_, std::floor(share * 100));
  if (!terminal_.interactive) return fmt::format("{}  {}", head, figures);
  const int room = std::min(30, terminal_.width - 1 - int(head.size() + figures.size()) - 3);
  if (room < 5) return fmt::format("{}  {}", head, figures).substr(0, size_t(std::max(1, terminal_.width - 1)));
  const int full = int(share * room);
  std::string done, left;
  for (int i = 0; i < room; ++i) (i < full ? done : left) += i < full ? "━" : "─";
  if (terminal_.colour) return fmt::format("{} {}{}{}{}{}  {}", head, green, done, dim, left, plain, figures);
  return fmt::format("{} {}{}  {}", head, done, left, figures);
}

void Progress::draw(double now) {
  last_drawn_ = now;
  if (quiet_) return;
  if (terminal_.interactive) {
    terminal_.write(std::string(erase_line) + line(now));
    drawn_ = true;
  } else {
    terminal_.write(line(now) + "\n");
  }
}

void Progress::message(std::string_view text, bool important) {
  if (quiet_ && !important) return;
  if (drawn_) terminal_.write(erase_line);
  terminal_.write(std::string(text) + "\n");
  if (std::exchange(drawn_, false)) draw(terminal_.seconds());
}

}  // namespace alinea
