#include <algorithm>
#include <vector>

#include "base/bitmap.h"
#include "base/hex.h"
#include "base/interval_set.h"
#include "base/random.h"
#include "base/sizes.h"
#include "base/uuid.h"
#include "support/test.h"

using namespace varve;  // NOLINT: a test of one namespace

TEST_CASE("a size is a number and at most one binary unit") {
  CHECK(parse_size("0") == 0);
  CHECK(parse_size("4096") == 4096);
  CHECK(parse_size("1K") == 1024);
  CHECK(parse_size("10m") == uint64_t{10} << 20);
  CHECK(parse_size("3GiB") == uint64_t{3} << 30);
  CHECK(parse_size("2T") == uint64_t{2} << 40);
  CHECK(parse_size("7PiB") == uint64_t{7} << 50);
  CHECK(parse_size("18446744073709551615") == UINT64_MAX);
  CHECK(parse_size("16383P") == uint64_t{16383} << 50);
}

TEST_CASE("what is no size is refused with a hint") {
  for (const char* text :
       {"", "K", "-1", "+1", " 1", "1 ", "1 K", "1.5G", "0x10", "10B", "10KB", "10Ki", "10kib", "1E", "1KK", "ten", "1e3"}) {
    CAPTURE(text);
    CHECK_ERRC(parse_size(text), Errc::invalid_argument);
  }
  for (const char* text : {"18446744073709551616", "16384P", "18014398509481985K"}) {
    CAPTURE(text);
    CHECK_ERRC(parse_size(text), Errc::invalid_argument);
  }
  try {
    parse_size("1.5G");
  } catch (const Error& e) {
    CHECK(e.hint().find("10G") != std::string::npos);
  }
}

TEST_CASE("a size is shown without a fraction where it is exact, else in tenths") {
  CHECK(format_size(0) == "0 B");
  CHECK(format_size(1023) == "1023 B");
  CHECK(format_size(1024) == "1 KiB");
  CHECK(format_size(1536) == "1.5 KiB");
  CHECK(format_size(uint64_t{10} << 30) == "10 GiB");
  CHECK(format_size(2'089'072'092'774) == "1.9 TiB");
  CHECK(format_size((uint64_t{2} << 30) + 1) == "2.0 GiB");
  CHECK(format_size((uint64_t{1} << 20) - 1) == "1024.0 KiB");
  CHECK(format_size(UINT64_MAX) == "16.0 EiB");
}

TEST_CASE("hexadecimal digits and bytes are each other's inverse") {
  std::vector<std::byte> all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<std::byte>(i));
  CHECK(to_hex(all).substr(0, 8) == "00010203");
  CHECK(parse_hex(to_hex(all)) == all);
  CHECK(parse_hex("fFaA") == std::vector{std::byte{0xff}, std::byte{0xaa}});
  CHECK(parse_hex("").empty());
  CHECK_ERRC(parse_hex("abc"), Errc::invalid_argument);
  CHECK_ERRC(parse_hex("0g"), Errc::invalid_argument);
}

TEST_CASE("a bitmap finds what a vector of flags finds") {
  SeededRandom random(1);
  for (const uint64_t size : {0, 1, 63, 64, 65, 200, 1000}) {
    Bitmap bitmap(size);
    std::vector<bool> model(size);
    for (int step = 0; step < 40 && size > 0; ++step) {
      const uint64_t first = random.below(size);
      const uint64_t count = random.below(size - first + 1);
      const auto begin = model.begin() + static_cast<std::ptrdiff_t>(first);
      const auto end = begin + static_cast<std::ptrdiff_t>(count);
      REQUIRE(bitmap.any(first, count) == (std::find(begin, end, true) != end));
      if (step % 3 == 0) {
        bitmap.set_range(first, count);
        std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(first), count, true);
      } else {
        bitmap.clear(first);
        model[first] = false;
      }
      for (uint64_t from = 0; from <= size + 1; ++from) {
        const auto start = model.begin() + static_cast<std::ptrdiff_t>(std::min(from, size));
        REQUIRE(bitmap.find_next_set(from) == static_cast<uint64_t>(std::find(start, model.end(), true) - model.begin()));
        REQUIRE(bitmap.find_next_clear(from) == static_cast<uint64_t>(std::find(start, model.end(), false) - model.begin()));
      }
      REQUIRE(bitmap.count() == static_cast<uint64_t>(std::count(model.begin(), model.end(), true)));
    }
    bitmap.clear_all();
    CHECK(bitmap.count() == 0);
  }
}

TEST_CASE("a bitmap larger than its bound is refused before memory is taken") {
  CHECK_ERRC(Bitmap(uint64_t{1} << 62, 64 << 20), Errc::limit);
  CHECK(Bitmap(512, 64).size() == 512);
  CHECK_ERRC(Bitmap(513, 64), Errc::limit);
}

TEST_CASE("an interval set agrees with a vector of flags") {
  constexpr uint64_t kSize = 120;
  SeededRandom random(2);
  for (int round = 0; round < 50; ++round) {
    IntervalSet set;
    std::vector<bool> model(kSize);
    for (int step = 0; step < 25; ++step) {
      const uint64_t offset = random.below(kSize);
      const uint64_t length = random.below(std::min<uint64_t>(kSize - offset, 12) + 1);
      const auto begin = model.begin() + static_cast<std::ptrdiff_t>(offset);
      const auto end = begin + static_cast<std::ptrdiff_t>(length);
      REQUIRE(set.contains(offset, length) == (std::find(begin, end, false) == end));
      const auto taken = std::find(begin, end, true);
      const auto overlap = set.find_overlap(offset, length);
      REQUIRE(overlap.has_value() == (taken != end));
      if (overlap) {
        REQUIRE(overlap->offset == static_cast<uint64_t>(taken - model.begin()));
        REQUIRE(overlap->end() == static_cast<uint64_t>(std::find(taken, end, false) - model.begin()));
      }
      uint64_t covered = 0;
      for (const Interval& gap : set.gaps(offset, length)) {
        REQUIRE(gap.length > 0);
        for (uint64_t i = gap.offset; i < gap.end(); ++i) REQUIRE(!model[i]);
        covered += gap.length;
      }
      REQUIRE(covered == static_cast<uint64_t>(std::count(begin, end, false)));
      if (random.below(3) == 0) {
        set.erase(offset, length);
        std::fill(begin, end, false);
      } else {
        REQUIRE(set.insert(offset, length) == overlap);
        std::fill(begin, end, true);
      }
      uint64_t last = 0;
      for (uint64_t i = 0; i < kSize; ++i) last = model[i] ? i + 1 : last;
      REQUIRE(set.end() == last);
      REQUIRE(set.total() == static_cast<uint64_t>(std::count(model.begin(), model.end(), true)));
    }
    uint64_t runs = 0;
    for (uint64_t i = 0; i < kSize; ++i) runs += model[i] && (i == 0 || !model[i - 1]) ? 1 : 0;
    REQUIRE(set.count() == runs);
  }
}

TEST_CASE("MEM-17: intervals are half-open, and one that wraps is corrupt") {
  IntervalSet set;
  CHECK_FALSE(set.insert(10, 10));
  CHECK_FALSE(set.insert(20, 5));
  CHECK_FALSE(set.insert(0, 10));
  CHECK(set.count() == 1);
  CHECK(set.insert(24, 4) == Interval{24, 1});
  CHECK_FALSE(set.insert(5, 0));
  CHECK_FALSE(set.insert(UINT64_MAX - 1, 1));
  CHECK_ERRC(set.insert(UINT64_MAX, 1), Errc::corrupt);
  CHECK_ERRC(set.find_overlap(1, UINT64_MAX), Errc::corrupt);
  CHECK_ERRC(set.contains(2, UINT64_MAX - 1), Errc::corrupt);
  CHECK_ERRC(set.gaps(UINT64_MAX, 2), Errc::corrupt);
}

TEST_CASE("erasing takes out what is there: a middle, an end, several at once, nothing") {
  const auto left = [](std::initializer_list<Interval> in, Interval out) {
    IntervalSet set;
    for (const Interval& one : in) set.insert(one.offset, one.length);
    set.erase(out.offset, out.length);
    std::string text;
    uint64_t total = 0;
    for (auto run = set.find_overlap(0, 1000); run; run = set.find_overlap(run->end(), 1000)) {
      text += std::to_string(run->offset) + "-" + std::to_string(run->end()) + " ";
      total += run->length;
    }
    CHECK(set.total() == total);
    return text;
  };
  CHECK(left({{10, 20}}, {15, 5}) == "10-15 20-30 ");
  CHECK(left({{10, 20}}, {10, 5}) == "15-30 ");
  CHECK(left({{10, 20}}, {25, 5}) == "10-25 ");
  CHECK(left({{10, 20}}, {10, 20}).empty());
  CHECK(left({{10, 20}}, {0, 100}).empty());
  CHECK(left({{10, 20}}, {0, 10}) == "10-30 ");
  CHECK(left({{10, 20}}, {30, 10}) == "10-30 ");
  CHECK(left({{10, 20}}, {15, 0}) == "10-30 ");
  CHECK(left({{10, 5}, {20, 5}, {30, 5}}, {12, 20}) == "10-12 32-35 ");
  CHECK(left({{10, 5}, {20, 5}, {30, 5}}, {15, 15}) == "10-15 30-35 ");
  IntervalSet set;
  CHECK_ERRC(set.erase(UINT64_MAX, 2), Errc::corrupt);
}

TEST_CASE("a UUID is its text, in either case and with or without braces") {
  const Uuid uuid = parse_uuid("2DC27766-f623-4200-9d64-115e9bfd4a08");
  CHECK(uuid.bytes[0] == 0x2d);
  CHECK(uuid.bytes[15] == 0x08);
  CHECK(parse_uuid("{2dc27766-f623-4200-9d64-115e9bfd4a08}") == uuid);
  CHECK(format_uuid(uuid) == "2dc27766-f623-4200-9d64-115e9bfd4a08");
  CHECK(format_uuid(swap_guid_order(uuid)) == "6677c22d-23f6-0042-9d64-115e9bfd4a08");
  CHECK(swap_guid_order(swap_guid_order(uuid)) == uuid);
  CHECK(Uuid{}.is_nil());
  for (const char* text :
       {"", "{}", "2dc27766f62342009d64115e9bfd4a08", "2dc27766-f623-4200-9d64-115e9bfd4a0", "2dc27766-f623-4200-9d64-115e9bfd4a0g",
        "{2dc27766-f623-4200-9d64-115e9bfd4a08", "2dc27766-f623-4200-9d64-115e9bfd4a088"}) {
    CAPTURE(text);
    CHECK_ERRC(parse_uuid(text), Errc::invalid_argument);
  }
}

TEST_CASE("a random UUID says that it is one") {
  SeededRandom random(3);
  for (int i = 0; i < 100; ++i) {
    const std::string text = format_uuid(random_uuid(random));
    CHECK(text[14] == '4');
    CHECK(std::string("89ab").find(text[19]) != std::string::npos);
  }
}

TEST_CASE("a seed names one sequence, on every host") {
  SeededRandom random(1234567);
  CHECK(random.u64() == 6457827717110365317U);  // the reference implementation's first numbers
  CHECK(random.u64() == 3203168211198807973U);
  SeededRandom again(1234567);
  std::vector<std::byte> bytes(19);
  again.fill(bytes);
  CHECK(to_hex(bytes).substr(0, 16) == "85fc08fb17d09e59");
}

TEST_CASE("the kernel's random numbers differ each time") {
  CHECK(system_random().u64() != system_random().u64());
  system_random().fill({});
}
