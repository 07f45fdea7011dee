#include <algorithm>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "checksum/crc32c.h"
#include "support/test.h"

using namespace varve;  // NOLINT: a test of one namespace

namespace {

ConstBytes bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

void check_known(uint32_t (*crc)(ConstBytes, uint32_t)) {
  CHECK(crc(bytes("123456789"), 0) == 0xe3069283);
  CHECK(crc({}, 0) == 0);
  std::vector<std::byte> block(32);
  CHECK(crc(block, 0) == 0x8a9136aa);  // the examples of RFC 3720 B.4
  std::ranges::fill(block, std::byte{0xff});
  CHECK(crc(block, 0) == 0x62a8ab43);
  for (size_t i = 0; i < 32; ++i) block[i] = static_cast<std::byte>(i);
  CHECK(crc(block, 0) == 0x46dd794e);
  std::ranges::reverse(block);
  CHECK(crc(block, 0) == 0x113fdb5c);
}

}  // namespace

TEST_CASE("CRC-32C has the values of RFC 3720, with and without the processor's help") {
  check_known(crc32c);
  check_known(crc32c_portable);
}

TEST_CASE("both ways to compute CRC-32C agree at every length and alignment") {
  SeededRandom random(4);
  std::vector<std::byte> data(400);
  random.fill(data);
  for (size_t offset = 0; offset < 9; ++offset) {
    for (size_t length = 0; length < 300; ++length) {
      const ConstBytes part = ConstBytes(data).subspan(offset, length);
      REQUIRE(crc32c(part, 0x12345678) == crc32c_portable(part, 0x12345678));
    }
  }
  MESSAGE("the processor's instructions are used: ", crc32c_has_hardware());
}

TEST_CASE("CRC-32C continues where it stopped") {
  SeededRandom random(5);
  std::vector<std::byte> data(1000);
  random.fill(data);
  const uint32_t whole = crc32c(data);
  for (size_t cut = 0; cut <= data.size(); cut += 37) {
    CHECK(crc32c(ConstBytes(data).subspan(cut), crc32c(ConstBytes(data).first(cut))) == whole);
    CHECK(crc32c_portable(ConstBytes(data).subspan(cut), crc32c_portable(ConstBytes(data).first(cut))) == whole);
  }
}
