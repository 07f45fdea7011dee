// What opens an encrypted image.
#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 1 << 20;
Options encrypted() {
  return options({{"format", "varve"}, {"create.encryption", "aes-256-gcm"}, {"create.kdf", "scrypt"}, {"create.kdf_cost", "15"}});
}

void make(const std::string& path) {
  Disk disk = create(path, kSize, with_passphrase(encrypted(), "correct horse"));
  write(disk, 0, pattern(0, 100000));
  close(std::move(disk));
}

int refusal(const std::string& path, const Options& how) {
  varve_image* image = nullptr;
  Told told;
  const int code = refused(varve_open(path.c_str(), how.get(), &image, told), told);
  CHECK(told.message().find("horse") == std::string::npos);
  return code;
}

Options reading() { return options({{"format", "varve"}}); }

}  // namespace

TEST_CASE("an encrypted image opens with its passphrase, also after wrong ones and with a newline behind it") {
  const TempDir dir;
  make(dir / "a.varve");
  CHECK(read(open(dir / "a.varve", with_passphrase(reading(), "correct horse\n")), 0, 100000) == pattern(0, 100000));
  const Options several = with_passphrase(with_passphrase(reading(), "battery"), "correct horse\r\n");
  const Disk disk = open(dir / "a.varve", several);
  CHECK(read(disk, 0, 100000) == pattern(0, 100000));
  CHECK(info_of(disk, 0, "encrypted") == "true");
}

TEST_CASE("without the right secret an encrypted image is authentication") {
  const TempDir dir;
  make(dir / "a.varve");
  CHECK(refusal(dir / "a.varve", reading()) == VARVE_AUTHENTICATION);
  CHECK(refusal(dir / "a.varve", with_passphrase(reading(), "battery")) == VARVE_AUTHENTICATION);
  const Options cleared = with_passphrase(reading(), "correct horse");
  varve_options_clear_secrets(cleared.get());
  CHECK(refusal(dir / "a.varve", cleared) == VARVE_AUTHENTICATION);
}

TEST_CASE("a raw key of 32 bytes makes and opens an image; others, and other kinds, are refused") {
  const TempDir dir;
  const Block key = pattern(0, 32);
  Told told;
  const Options how = encrypted();
  must(varve_options_add_secret(how.get(), "raw", key.data(), key.size(), told), told);
  close(create(dir / "a.varve", kSize, how));
  const Options again = reading();
  must(varve_options_add_secret(again.get(), "raw", key.data(), key.size(), told), told);
  CHECK(read(open(dir / "a.varve", again), 0, 512) == Block(512));
  CHECK(refused(varve_options_add_secret(again.get(), "pin", "1234", 4, told), told) == VARVE_INVALID_ARGUMENT);
  const Options too_short = reading();
  must(varve_options_add_secret(too_short.get(), "raw", key.data(), 31, told), told);
  CHECK(refusal(dir / "a.varve", too_short) == VARVE_INVALID_ARGUMENT);
}

TEST_CASE("of a new image the first secret counts, and for its encrypted parent all") {
  const TempDir dir;
  make(dir / "base.varve");
  Options how = encrypted();
  Told told;
  must(varve_options_set(how.get(), "parent", "base.varve", told), told);
  how = with_passphrase(with_passphrase(std::move(how), "of the child"), "correct horse");
  close(create(dir / "child.varve", UINT64_MAX, how));
  CHECK(refusal(dir / "child.varve", with_passphrase(reading(), "correct horse")) == VARVE_AUTHENTICATION);
  const Options both = with_passphrase(with_passphrase(reading(), "correct horse"), "of the child");
  CHECK(read(open(dir / "child.varve", both), 0, 100000) == pattern(0, 100000));
}

TEST_CASE("require-encryption refuses what is in clear, min-generation what is older") {
  const TempDir dir;
  close(create(dir / "plain.varve", kSize, reading()));
  CHECK(refusal(dir / "plain.varve", options({{"format", "varve"}, {"require-encryption", "on"}})) == VARVE_AUTHENTICATION);
  CHECK(refusal(dir / "plain.varve", options({{"format", "varve"}, {"min-generation", "1000000"}})) < 0);
  CHECK(open(dir / "plain.varve", options({{"format", "varve"}, {"min-generation", "1"}})) != nullptr);
}

TEST_CASE("only the named key slot is tried") {
  const TempDir dir;
  make(dir / "a.varve");
  Told told;
  const Options how = with_passphrase(reading(), "correct horse");
  must(varve_options_set(how.get(), "key-slot", "0", told), told);
  CHECK(open(dir / "a.varve", how) != nullptr);
  must(varve_options_set(how.get(), "key-slot", "3", told), told);
  CHECK(refusal(dir / "a.varve", how) == VARVE_AUTHENTICATION);
}
