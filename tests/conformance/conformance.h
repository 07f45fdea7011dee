// One case, run once for every configuration of image_kit.h and counted as one test each: "CASE [CONFIGURATION]".
#ifndef VARVE_TESTS_CONFORMANCE_H
#define VARVE_TESTS_CONFORMANCE_H

#include <string>
#include <utility>

#include "support/image_kit.h"
#include "support/test.h"

namespace varve::test {

using ConformanceCase = void (*)(const ImageConfig& config);

/// The name lives as long as the program.
const char* conformance_name(const char* name, size_t config);

template <ConformanceCase body, size_t config>
void run_conformance_case() {
  body(writable_configs()[config]);
}

template <ConformanceCase body, size_t... config>
int register_conformance_case(const char* name, const char* file, unsigned line, std::index_sequence<config...> /*all*/) {
  (doctest::detail::regTest(doctest::detail::TestCase(run_conformance_case<body, config>, file, line, doctest::detail::TestSuite()) *
                            conformance_name(name, config)),
   ...);
  return 0;
}

}  // namespace varve::test

#define VARVE_JOIN_(a, b) a##b
#define VARVE_JOIN(a, b) VARVE_JOIN_(a, b)

/// CONFORMANCE_CASE("what holds") { ... uses `config` ... }
#define CONFORMANCE_CASE(name)                                                                    \
  static void VARVE_JOIN(conformance_case_, __LINE__)(const ::varve::test::ImageConfig& config);  \
  static const int VARVE_JOIN(conformance_case_registered_, __LINE__) [[maybe_unused]] =          \
      ::varve::test::register_conformance_case<VARVE_JOIN(conformance_case_, __LINE__)>(          \
          name, __FILE__, __LINE__, std::make_index_sequence<::varve::test::kWritableConfigs>()); \
  static void VARVE_JOIN(conformance_case_, __LINE__)([[maybe_unused]] const ::varve::test::ImageConfig& config)

#endif
