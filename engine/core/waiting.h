// How idle OpenMP threads wait.
#pragma once

namespace alinea {

/// First call of main(). libgomp's threads spin at barriers for milliseconds; when another program wants the cores, every small parallel
/// loop then costs a time slice (measured on two busy cores: 60 EMMA steps in 27 s, in 8 s with a short spin). libgomp reads its setting
/// while it is loaded, so the program starts itself once more with GOMP_SPINCOUNT set. A setting of the user's is never overridden.
void spin_briefly(char** argv);

}  // namespace alinea
