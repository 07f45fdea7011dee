// What every test includes: doctest, and skipping with a reason.
#ifndef VARVE_TESTS_SUPPORT_TEST_H
#define VARVE_TESTS_SUPPORT_TEST_H

#include <doctest/doctest.h>

#include <string>

#include "varve/error.h"

namespace varve::test {

/// Marks the running test case as skipped and says why. In CI (VARVE_TEST_STRICT=1) a missing tool is a failure instead: see need_tool().
void skip(const std::string& reason);

/// Skips the running case for want of `tool` or, under VARVE_TEST_STRICT=1, fails it.
void missing(const std::string& tool);

/// True if `tool` can be run. Otherwise skips the running case or, under VARVE_TEST_STRICT=1, fails it.
bool need_tool(const std::string& tool);

}  // namespace varve::test

/// Ends the test case as skipped.
#define SKIP_TEST(reason)        \
  do {                           \
    ::varve::test::skip(reason); \
    return;                      \
  } while (false)

/// Ends the test case unless the tool is there.
#define NEED_TOOL(tool)                          \
  do {                                           \
    if (!::varve::test::need_tool(tool)) return; \
  } while (false)

/// The expression throws varve::Error of exactly this code.
#define CHECK_ERRC(expression, expected)                                             \
  do {                                                                               \
    bool varve_threw = false;                                                        \
    try {                                                                            \
      static_cast<void>(expression);                                                 \
    } catch (const ::varve::Error& varve_error) {                                    \
      varve_threw = true;                                                            \
      INFO(varve_error.what());                                                      \
      CHECK(::varve::errc_name(varve_error.code()) == ::varve::errc_name(expected)); \
    }                                                                                \
    CHECK_MESSAGE(varve_threw, #expression " threw nothing");                        \
  } while (false)

#endif
