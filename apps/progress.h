// Progress of a long run: a bar that redraws itself on a terminal, plain lines elsewhere. Everything goes to stderr; stdout is for data.
//
//   train  42% ━━━━━━━╸──────────  420/1000  loss 2.1032  grad 0.871  12.3k tok/s  ETA 1:05
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace alinea {

/// Where progress goes and what that place can show.
struct Terminal {
  bool interactive = false;  // redraws lines; false: plain lines
  bool colour = false;
  int width = 80;
  std::function<void(std::string_view)> write;
  std::function<double()> seconds;  // a clock that never goes back

  /// stderr: interactive if it is a terminal and TERM isn't "dumb", coloured unless NO_COLOR is set (to anything but nothing).
  static Terminal standard_error();
};

/// "1:05", "2:03:04"; seconds rounded up.
std::string show_duration(double seconds);
/// "950", "12.3k", "4.56M".
std::string show_count(double value);

class Progress {
 public:
  /// Steps run from `done` (resumed runs start later) to `total`. quiet: only messages marked important are shown.
  Progress(Terminal terminal, std::string title, int64_t done, int64_t total, bool quiet = false);
  ~Progress();  // ends the bar's line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// After each step; `tokens` are those of this step. Drawn at most 10 times a second on a terminal, every 10 s elsewhere, and at the end.
  void update(int64_t step, double loss, double gradient_norm, int64_t tokens);

  /// A line of its own, above the bar.
  void message(std::string_view line, bool important = false);

  double tokens_per_second() const;  // over the last seconds

 private:
  std::string line(double now) const;
  void draw(double now);

  Terminal terminal_;
  std::string title_;
  int64_t first_, step_, total_;
  bool quiet_, drawn_ = false;
  double started_, last_drawn_, loss_ = 0, gradient_norm_ = 0;
  double recent_tokens_ = 0, recent_seconds_ = 0, last_update_;  // decaying sums: the rate forgets with a time constant of 10 s
};

}  // namespace alinea
