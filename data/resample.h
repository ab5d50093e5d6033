// Another sampling rate: a band-limited interpolation (Smith, "Digital audio resampling", 2002) with a Kaiser-windowed sinc,
//   y(n) = Σ_k x(k) h(n·in/out − k),   h(t) = c · sinc(c t) · kaiser(t c / 32),   c = 0.94 · min(1, out/in),   β = 10,
// 32 zero crossings to each side: half the amplitude is left at 0.94 of the lower Nyquist frequency, nothing (-90 dB) beyond 1.04 of it.
#pragma once
#include "data/audio.h"

namespace alinea {

Audio resample(const Audio& audio, int rate);

}  // namespace alinea
