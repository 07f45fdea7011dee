#include <deque>

#include "conformance/conformance.h"

namespace varve::test {

const char* conformance_name(const char* name, size_t config) {
  static std::deque<std::string> names;
  return names.emplace_back(std::string(name) + " [" + writable_configs()[config].name + "]").c_str();
}

TEST_CASE("the suite runs over every configuration") { CHECK(writable_configs().size() == kWritableConfigs); }

}  // namespace varve::test
