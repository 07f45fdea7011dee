#include "capi/tour.h"

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

TEST_CASE("threads: a program in C99 uses every family of functions") {
  const TempDir dir;
  CHECK(c_tour(dir.path().c_str()) == 0);
}
