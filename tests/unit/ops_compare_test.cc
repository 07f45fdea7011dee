// Comparing and mapping.
#include "io/memory_file_system.h"
#include "support/test.h"
#include "unit/ops_kit.h"
#include "varve/ops.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr uint64_t kMiB = 1 << 20;
const std::vector<ScriptRun> kDisk = {
    {1 * kMiB, ExtentKind::absent}, {4 * kMiB + 5, ExtentKind::data}, {2 * kMiB, ExtentKind::zero}, {700, ExtentKind::data}};

Image memory_disk(const std::vector<std::byte>& bytes) { return recording_disk(Way::plain, bytes, std::make_shared<Journal>()); }

CompareOptions with_threads(unsigned threads) {
  CompareOptions options;
  options.threads = threads;
  return options;
}

}  // namespace

TEST_CASE("threads: equal contents are the same, however they are stored") {
  Image a = script_disk(kDisk);
  Image b = memory_disk(script_bytes(kDisk));
  for (const unsigned threads : {1u, 2u, 8u}) {
    CHECK(compare(a, b, with_threads(threads)).same);
    CHECK(compare(b, a, with_threads(threads)).same);
  }
}

TEST_CASE("threads: the first of many differences is named to the byte, whatever the number of threads") {
  Image a = script_disk(kDisk);
  for (const uint64_t at : {uint64_t{0}, uint64_t{1048575}, 3 * kMiB + 12345, 5 * kMiB + 4, 6 * kMiB, 7 * kMiB + 5 + 699}) {
    std::vector<std::byte> changed = script_bytes(kDisk);
    for (uint64_t i = at; i < changed.size(); i += 1000003) changed[i] ^= std::byte{1};
    Image b = memory_disk(changed);
    for (const unsigned threads : {1u, 2u, 8u}) {
      CAPTURE(at);
      const CompareResult result = compare(a, b, with_threads(threads));
      CHECK_FALSE(result.same);
      CHECK(result.first_difference == at);
      CHECK(compare(b, a, with_threads(threads)).first_difference == at);
    }
  }
}

TEST_CASE("what neither disk holds is not read") {
  const auto journal_a = std::make_shared<Journal>();
  const auto journal_b = std::make_shared<Journal>();
  Image a = script_disk(kDisk, journal_a);
  Image b = script_disk({{3 * kMiB, ExtentKind::zero}, {kMiB, ExtentKind::data}, {3 * kMiB + 705, ExtentKind::absent}}, journal_b);
  CHECK(compare(a, b, with_threads(1)).first_difference == kMiB);
  CHECK_FALSE(journal_a->touched(Journal::What::read, 0, kMiB));
  CHECK_FALSE(journal_b->touched(Journal::What::read, 0, 3 * kMiB));
  Image huge_a = script_disk({{uint64_t{1} << 60, ExtentKind::absent}}, journal_a);
  Image huge_b = script_disk({{uint64_t{1} << 59, ExtentKind::zero}});
  CHECK(compare(huge_a, huge_b).same);
}

TEST_CASE("a longer disk is the same if the rest is zeros, unless that is asked for strictly") {
  const std::vector<ScriptRun> shorter = {{5000, ExtentKind::data}};
  Image a = script_disk(shorter);
  std::vector<std::byte> bytes = script_bytes(shorter);
  bytes.resize(3 * kMiB);
  Image b = memory_disk(bytes);
  CHECK(compare(a, b).same);
  CHECK(compare(a, b).size_b == 3 * kMiB);
  CompareOptions strict;
  strict.strict = true;
  CHECK_FALSE(compare(a, b, strict).same);
  CHECK(compare(b, a, strict).first_difference == 5000);
  bytes[2 * kMiB] = std::byte{1};
  Image c = memory_disk(bytes);
  CHECK(compare(a, c).first_difference == 2 * kMiB);
  CHECK(compare(c, a, strict).first_difference == 2 * kMiB);
}

TEST_CASE("disks of no bytes are the same") {
  Image a = script_disk({});
  Image b = script_disk({});
  CHECK(compare(a, b).same);
}

TEST_CASE("threads: a comparison can be cancelled, and its errors come out") {
  CancelToken cancel;
  cancel.cancel();
  CompareOptions options;
  options.cancel = &cancel;
  Image a = script_disk(kDisk);
  Image b = script_disk(kDisk);
  CHECK_ERRC(compare(a, b, options), Errc::cancelled);
  Image failing = script_disk(kDisk, nullptr, 3 * kMiB);
  CHECK_ERRC(compare(a, failing), Errc::io);
}

TEST_CASE("threads: what lies behind the first difference does not matter, not even if it can't be read") {
  const std::vector<ScriptRun> runs = {{8 * kMiB, ExtentKind::data}};
  std::vector<std::byte> changed = script_bytes(runs);
  changed[kMiB - 1] ^= std::byte{1};
  Image a = script_disk(runs, nullptr, kMiB);
  Image b = memory_disk(changed);
  for (int round = 0; round < 100; ++round) {
    for (const unsigned threads : {1u, 8u}) CHECK(compare(a, b, with_threads(threads)).first_difference == kMiB - 1);
  }
}

TEST_CASE("a map is of maximal runs that cover the disk") {
  Image image = script_disk({{100, ExtentKind::data}, {50, ExtentKind::data}, {7, ExtentKind::zero}, {8, ExtentKind::absent}});
  std::vector<Extent> runs;
  map(image, [&](const Extent& run) { runs.push_back(run); });
  REQUIRE(runs.size() == 3);
  CHECK(runs[0].length == 150);
  CHECK(runs[1].kind == ExtentKind::zero);
  CHECK(runs[2].offset == 157);
  CHECK(runs[2].kind == ExtentKind::absent);
}

TEST_CASE("a map merges runs beyond what one question answers, and has none of an empty disk") {
  std::vector<ScriptRun> script(5000, ScriptRun{512, ExtentKind::data});
  Image image = script_disk(script);
  int runs = 0;
  map(image, [&](const Extent& run) {
    CHECK(run.length == 5000 * 512);
    ++runs;
  });
  CHECK(runs == 1);
  Image empty = script_disk({});
  map(empty, [&](const Extent&) { ++runs; });
  CHECK(runs == 1);
}

TEST_CASE("a map can be cancelled") {
  CancelToken cancel;
  Image image = script_disk({{100, ExtentKind::data}, {50, ExtentKind::zero}, {7, ExtentKind::data}});
  CHECK_ERRC(map(
                 image, [&](const Extent&) { cancel.cancel(); }, &cancel),
             Errc::cancelled);
}
