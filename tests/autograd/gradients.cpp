#include <doctest/doctest.h>

#include "autograd/op_table.h"

using namespace alinea;

TEST_CASE("every op of the table: gradients equal central differences in double") {
  for (const OpRow& row : OpTable::all().rows()) {
    if (!row.differentiable) continue;
    CAPTURE(row.name);
    CHECK_MESSAGE(!row.examples.empty(), row.name, " has no example");
    for (const GradCheck& c : check_gradients(row, RandomKey{7})) {
      CAPTURE(c.input);
      CAPTURE(c.example);
      CAPTURE(c.at);
      CHECK(c.worst <= 1e-7);
    }
  }
}
