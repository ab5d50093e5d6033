#include "apps/signals.h"

namespace alinea {
namespace {

constexpr std::array watched = {SIGINT, SIGTERM};
volatile std::sig_atomic_t received_signal = 0;  // the only thing a handler may touch safely

extern "C" void remember(int number) { received_signal = number; }

}  // namespace

StopSignals::StopSignals() {
  received_signal = 0;
  struct sigaction action = {};
  action.sa_handler = remember;
  action.sa_flags = int(SA_RESETHAND | SA_RESTART);  // reset: the second signal has its default effect
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < watched.size(); ++i) sigaction(watched[i], &action, &before_[i]);
}

StopSignals::~StopSignals() {
  for (size_t i = 0; i < watched.size(); ++i) sigaction(watched[i], &before_[i], nullptr);
}

bool StopSignals::received() const { return received_signal != 0; }

const char* StopSignals::name() const { return received_signal == SIGINT ? "SIGINT" : received_signal == SIGTERM ? "SIGTERM" : ""; }

int StopSignals::exit_code() const { return received_signal ? 128 + int(received_signal) : 0; }

}  // namespace alinea
