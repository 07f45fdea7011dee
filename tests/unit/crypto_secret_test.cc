#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <fstream>
#include <functional>
#include <iterator>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "crypto/fork_count.h"
#include "crypto/kdf.h"
#include "support/test.h"
#include "varve/secret.h"

using namespace varve;  // NOLINT: a test of one namespace
using namespace std::string_literals;

namespace {

using Bytes = std::vector<std::byte>;

ConstBytes bytes(std::string_view text) { return std::as_bytes(std::span(text)); }
std::string hex(const Secret& secret) { return to_hex(secret.bytes()); }
std::string hex(const std::array<uint8_t, 32>& tag) { return to_hex(std::as_bytes(std::span(tag))); }

bool is_zero(ConstBytes all) {
  return std::all_of(all.begin(), all.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// The VmFlags [proc(5)] of the mapping that `address` lies in; none if there is no mapping.
std::set<std::string> flags_of(const void* address) {
  const auto wanted = reinterpret_cast<uintptr_t>(address);
  std::ifstream smaps("/proc/self/smaps");
  bool here = false;
  for (std::string line; std::getline(smaps, line);) {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    if (std::sscanf(line.c_str(), "%" SCNxPTR "-%" SCNxPTR " ", &begin, &end) == 2) here = begin <= wanted && wanted < end;
    if (!here || line.rfind("VmFlags:", 0) != 0) continue;
    std::istringstream words(line.substr(8));
    return std::set<std::string>(std::istream_iterator<std::string>(words), {});
  }
  return {};
}

/// Does `condition` hold in a child of this process?
bool in_child(const std::function<bool()>& condition) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) _exit(condition() ? 0 : 1);
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

}  // namespace

TEST_CASE("HKDF-SHA256 has the values of RFC 5869, appendix A") {
  const auto range = [](unsigned first, unsigned end) {
    Bytes all;
    for (unsigned b = first; b < end; ++b) all.push_back(static_cast<std::byte>(b));
    return all;
  };
  const Bytes key(22, std::byte{0x0b});
  CHECK(hex(hkdf_sha256(key, range(0, 13), range(0xf0, 0xfa), 42)) ==
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  CHECK(hex(hkdf_sha256(range(0, 0x50), range(0x60, 0xb0), range(0xb0, 0x100), 82)) ==
        "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c"
        "59045a99cac7827271cb41c65e590e09da3275600c2f09b8367793a9aca3db71"
        "cc30c58179ec3e87c14c01d5c1f3434f1d87");
  CHECK(hex(hkdf_sha256(key, {}, {}, 42)) == "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8");
}

TEST_CASE("HKDF-SHA256 gives 1 to 8160 bytes, each time the beginning of the same") {
  const std::string most = hex(hkdf_sha256(bytes("key"), bytes("salt"), bytes("info"), 8160));
  CHECK(most.size() == 2 * size_t{8160});
  for (const size_t size : {1U, 31U, 32U, 33U})
    CHECK(hex(hkdf_sha256(bytes("key"), bytes("salt"), bytes("info"), size)) == most.substr(0, 2 * size));
  for (const size_t size : {0U, 8161U}) CHECK_ERRC(hkdf_sha256(bytes("key"), bytes("salt"), bytes("info"), size), Errc::io);
}

TEST_CASE("scrypt has the values of RFC 7914, section 12") {
  CHECK(hex(scrypt({}, {}, 4, 1, 1, 64)) ==
        "77d6576238657b203b19ca42c18a0497f16b4844e3074ae8dfdffa3fede21442"
        "fcd0069ded0948f8326a753a0fc81f17e8d3e0fb2e0d3628cf35e20c38d18906");
  CHECK(hex(scrypt(bytes("password"), bytes("NaCl"), 10, 8, 16, 64)) ==
        "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162"
        "2eaf30d92e22a3886ff109279d9830dac727afb94a83ee6d8360cbdfa2cc0640");
  CHECK(hex(scrypt(bytes("pleaseletmein"), bytes("SodiumChloride"), 14, 8, 1, 64)) ==
        "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
        "d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887");
}

TEST_CASE("scrypt refuses what RFC 7914 does not allow, and what no memory could hold") {
  struct Parameters {
    uint32_t log2_n, r, p;
  };
  constexpr uint32_t kMost = 0xffffffff;
  constexpr Parameters kWrong[] = {{0, 8, 1},  {16, 1, 1},    {10, 0, 1},     {10, 8, 0},    {10, 1U << 15, 1U << 15},
                                   {41, 8, 1}, {kMost, 8, 1}, {40, kMost, 1}, {40, 8, kMost}};
  for (const Parameters& wrong : kWrong) {
    CAPTURE(wrong.log2_n);
    CAPTURE(wrong.r);
    CAPTURE(wrong.p);
    CHECK_ERRC(scrypt(bytes("p"), bytes("s"), wrong.log2_n, wrong.r, wrong.p, 32), Errc::io);
  }
}

TEST_CASE("PBKDF2-HMAC-SHA256 has the values of RFC 7914, section 11, and those of RFC 6070's inputs") {
  CHECK(hex(pbkdf2_sha256(bytes("passwd"), bytes("salt"), 1, 64)) ==
        "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
        "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783");
  CHECK(hex(pbkdf2_sha256(bytes("Password"), bytes("NaCl"), 80000, 64)) ==
        "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
        "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d");
  CHECK(hex(pbkdf2_sha256(bytes("password"), bytes("salt"), 1, 32)) == "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b");
  CHECK(hex(pbkdf2_sha256(bytes("password"), bytes("salt"), 2, 32)) == "ae4d0c95af6b46d32d0adff928f06dd02a303f8ef3c251dfd6e2d85a95474c43");
  CHECK(hex(pbkdf2_sha256(bytes("password"), bytes("salt"), 4096, 32)) ==
        "c5e478d59288c841aa530db6845c4c8d962893a001ce4e11a4963873aa98134a");
  CHECK(hex(pbkdf2_sha256(bytes("passwordPASSWORDpassword"), bytes("saltSALTsaltSALTsaltSALTsaltSALTsalt"), 4096, 40)) ==
        "348c89dbcbd32b2f32d814b8116e84cf2b17347ebc1800181c4e2a1fb8dd53e1c635518c7dac47e9");
  CHECK(hex(pbkdf2_sha256(bytes("pass\0word"s), bytes("sa\0lt"s), 4096, 16)) == "89b69d0516f829893c696226650a8687");
}

TEST_CASE("HMAC-SHA256 has the values of RFC 4231") {
  const auto same = [](size_t n, int value) { return Bytes(n, static_cast<std::byte>(value)); };
  CHECK(hex(hmac_sha256(same(20, 0x0b), bytes("Hi There"))) == "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
  CHECK(hex(hmac_sha256(bytes("Jefe"), bytes("what do ya want for nothing?"))) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  CHECK(hex(hmac_sha256(same(20, 0xaa), same(50, 0xdd))) == "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
  CHECK(hex(hmac_sha256(parse_hex("0102030405060708090a0b0c0d0e0f10111213141516171819"), same(50, 0xcd))) ==
        "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
  CHECK(hex(hmac_sha256(same(20, 0x0c), bytes("Test With Truncation"))).substr(0, 32) == "a3b6167473100ee06e0c796c2955552b");
  CHECK(hex(hmac_sha256(same(131, 0xaa), bytes("Test Using Larger Than Block-Size Key - Hash Key First"))) ==
        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
  CHECK(hex(hmac_sha256(same(131, 0xaa), bytes("This is a test using a larger than block-size key and a larger than block-size data. "
                                               "The key needs to be hashed before being used by the HMAC algorithm."))) ==
        "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

TEST_CASE("no secrets, salts and messages at all are empty ones") {
  const Bytes some(1);
  const ConstBytes empty(some.data(), 0);
  CHECK(hex(hmac_sha256({}, {})) == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
  CHECK(hmac_sha256({}, {}) == hmac_sha256(empty, empty));
  CHECK(hex(hkdf_sha256({}, {}, {}, 32)) == hex(hkdf_sha256(empty, empty, empty, 32)));
  CHECK(hex(pbkdf2_sha256({}, {}, 1, 32)) == hex(pbkdf2_sha256(empty, empty, 1, 32)));
  CHECK(hex(scrypt({}, {}, 1, 1, 1, 32)) == hex(scrypt(empty, empty, 1, 1, 1, 32)));
}

TEST_CASE("HMAC-SHA256 does not cut the length of a key to an int") {
  const Bytes few(16);
  CHECK_ERRC(hmac_sha256({few.data(), (size_t{1} << 32) + 16}, bytes("message")), Errc::io);  // the key is not looked at
}

TEST_CASE("equal in constant time is equal") {
  const Bytes a = {std::byte{1}, std::byte{2}, std::byte{3}};
  CHECK(equal_in_constant_time(a, Bytes(a)));
  for (const size_t i : {0U, 1U, 2U}) {
    Bytes b = a;
    b[i] ^= std::byte{0x80};
    CHECK_FALSE(equal_in_constant_time(a, b));
  }
  CHECK_FALSE(equal_in_constant_time(a, ConstBytes(a).first(2)));
  CHECK_FALSE(equal_in_constant_time(a, {}));
  CHECK(equal_in_constant_time({}, {}));
}

TEST_CASE("wipe: all of it, and nothing beside") {
  Bytes all(34, std::byte{0xee});
  wipe(MutableBytes(all).subspan(1, 32));
  CHECK(is_zero(ConstBytes(all).subspan(1, 32)));
  CHECK(all.front() == std::byte{0xee});
  CHECK(all.back() == std::byte{0xee});
  wipe({});
}

TEST_CASE("a secret begins with zeros, or with a copy; one of no bytes is empty") {
  CHECK(Secret().empty());
  CHECK(Secret(size_t{0}).empty());
  CHECK(Secret(ConstBytes()).empty());
  CHECK(Secret().copy().empty());
  for (const size_t size : {1U, 32U, 4096U, 4097U}) {
    const Secret secret(size);
    CHECK(secret.size() == size);
    CHECK(is_zero(secret.bytes()));
  }
  const Secret secret(bytes("swordfish"));
  const Secret copy = secret.copy();
  CHECK(copy.bytes().data() != secret.bytes().data());
  CHECK(hex(copy) == to_hex(bytes("swordfish")));
  CHECK(hex(secret) == hex(copy));
  CHECK_THROWS_AS(Secret(size_t{1} << 62), std::bad_alloc);
}

TEST_CASE("a secret that was moved from is empty, and what it replaces is given up at once") {
  Secret a(bytes("first"));
  const std::byte* const first = a.bytes().data();
  Secret b(std::move(a));
  CHECK(a.empty());  // NOLINT(bugprone-use-after-move): that is the question
  CHECK(a.bytes().data() == nullptr);
  CHECK(b.bytes().data() == first);
  Secret c(bytes("second"));
  b = std::move(c);
  CHECK(c.empty());  // NOLINT(bugprone-use-after-move)
  CHECK(hex(b) == to_hex(bytes("second")));
  CHECK_FALSE(flags_of(first).contains("dd"));
  Secret& same = b;
  b = std::move(same);
  CHECK(hex(b) == to_hex(bytes("second")));
}

TEST_CASE("a shorter secret has wiped the rest") {
  Secret secret(bytes("swordfish"));
  const ConstBytes all = std::as_const(secret).bytes();
  secret.shorten(9);
  CHECK(secret.size() == 9);
  secret.shorten(5);
  CHECK(hex(secret) == to_hex(bytes("sword")));
  CHECK(is_zero(all.subspan(5)));
  secret.shorten(0);
  CHECK(secret.empty());
  CHECK(is_zero(all));
  Secret().shorten(0);
}

TEST_CASE("a secret's pages are not dumped, not forked and, where that is allowed, not swapped") {
  const Secret secret(bytes("swordfish"));
  const std::set<std::string> flags = flags_of(secret.bytes().data());
  if (flags.empty()) SKIP_TEST("the kernel shows no VmFlags");
  CHECK(flags.contains("dd"));
  CHECK(flags.contains("wf"));
  // Sanitizers, too, take mlock away: what another page gets is what can be had.
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  void* const other = mmap(nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(other != MAP_FAILED);
  mlock(other, page);
  const bool may_lock = flags_of(other).contains("lo");
  munmap(other, page);
  MESSAGE("this process may lock memory: ", may_lock);
  CHECK(flags.contains("lo") == may_lock);
}

TEST_CASE("a child sees zeros in place of its parent's secrets, and the parent still sees them") {
  Secret secret(bytes("swordfish"));
  CHECK(in_child([&secret] { return secret.size() == 9 && is_zero(secret.bytes()); }));
  CHECK(hex(secret) == to_hex(bytes("swordfish")));
}

TEST_CASE("the count of forks differs in a child, and in its child, and not in the parent") {
  const uint64_t before = fork_count();
  CHECK(fork_count() == before);
  CHECK(in_child([before] {
    const uint64_t now = fork_count();
    if (now == before) return false;
    const pid_t child = fork();
    if (child == 0) _exit(fork_count() != now && fork_count() != before ? 0 : 1);
    int status = 0;
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
  }));
  CHECK(fork_count() == before);
}
