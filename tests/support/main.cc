// The main of every test program. Its last line is "N passed, N failed, N skipped", counted from the cases that ran.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <set>
#include <sstream>
#include <string>

#include "support/test.h"

namespace {

std::string current_case;             // NOLINT: doctest runs cases one after the other
std::set<std::string> skipped_cases;  // NOLINT
unsigned failed = 0;
unsigned ran = 0;

struct Counter : doctest::IReporter {
  explicit Counter(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& stats) override {
    ran = stats.numTestCasesPassingFilters;
    failed = stats.numTestCasesFailed;
  }
  void test_case_start(const doctest::TestCaseData& data) override { current_case = std::string(data.m_file.c_str()) + ": " + data.m_name; }
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("counter", 1, Counter);

bool on_path(const std::string& tool) {
  std::istringstream path(std::getenv("PATH") != nullptr ? std::getenv("PATH") : "");
  for (std::string dir; std::getline(path, dir, ':');)
    if (access((dir + "/" + tool).c_str(), X_OK) == 0) return true;
  return false;
}

}  // namespace

namespace varve::test {

void skip(const std::string& reason) {
  if (skipped_cases.insert(current_case).second) std::printf("SKIPPED %s: %s\n", current_case.c_str(), reason.c_str());
}

void missing(const std::string& tool) {
  const char* strict = std::getenv("VARVE_TEST_STRICT");
  if (strict != nullptr && std::string(strict) == "1") {
    FAIL_CHECK(tool << " is not installed, and VARVE_TEST_STRICT forbids to skip");
  } else {
    skip(tool + " is not installed");
  }
}

bool need_tool(const std::string& tool) {
  if (on_path(tool)) return true;
  missing(tool);
  return false;
}

}  // namespace varve::test

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  const int result = context.run();
  if (context.shouldExit()) return result;
  const unsigned skipped = static_cast<unsigned>(skipped_cases.size());
  std::printf("%u passed, %u failed, %u skipped\n", ran - failed - skipped, failed, skipped);
  return result;
}
