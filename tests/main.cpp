#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "engine/core/waiting.h"

int main(int argc, char** argv) {
  alinea::spin_briefly(argv);
  return doctest::Context(argc, argv).run();
}
