// Passphrases typed at a terminal. All of these cases need the encryption of the varve format.
#include <signal.h>

#include "secrets.h"
#include "terminal.h"

using namespace varve::test;  // NOLINT

namespace {

const std::string kWrong = "wrong " + kCanary;

AtTerminal map_of(const std::string& image) { return AtTerminal(varve_argv({"map", image})); }

}  // namespace

TEST_CASE("encrypted: without options the passphrase is asked for at the terminal, three times, and never shown") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string image = encrypted_image(dir);
  AtTerminal right = map_of(image);
  REQUIRE(right.shows("Passphrase for " + image + ": "));
  CHECK_FALSE(right.echoes());
  CHECK(contains(read_file("/proc/" + std::to_string(right.pid()) + "/limits"), "Max core file size        0                    0 "));
  right.type(kWrong + "\n");
  REQUIRE(right.shows("wrong passphrase, try again"));
  REQUIRE(right.shows("Passphrase for "));
  right.type(kCanary + " old\n");
  CHECK(right.wait() == 0);
  CHECK(right.echoes());
  CHECK(contains(right.screen(), "OFFSET"));
  CHECK_FALSE(contains(right.screen(), kCanary));

  AtTerminal wrong = map_of(image);
  for (unsigned attempt = 0; attempt < 3; ++attempt) {
    REQUIRE(wrong.shows("Passphrase for "));
    wrong.type(kWrong + "\n");
  }
  CHECK(wrong.wait() == 1);
  CHECK_FALSE(contains(wrong.screen(), kCanary));
}

TEST_CASE("encrypted: an empty passphrase, the end of input and Ctrl-C end the question, and the terminal echoes again") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string image = encrypted_image(dir);
  for (const auto& [typed, code] : {std::pair{"\n", 1}, std::pair{"\x04", 1}, std::pair{"\x03", 130}, std::pair{"half\x03", 130}}) {
    AtTerminal asked = map_of(image);
    REQUIRE(asked.shows("Passphrase for "));
    CHECK_FALSE(asked.echoes());
    asked.type(typed);
    CHECK(asked.wait() == code);
    CHECK(asked.echoes());
  }
  AtTerminal asked = map_of(image);
  REQUIRE(asked.shows("Passphrase for "));
  kill(asked.pid(), SIGTERM);
  CHECK(asked.wait() == 143);
  CHECK(asked.echoes());
}

TEST_CASE("encrypted: a new passphrase is typed twice, and three times if the two differ") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string image = dir / "n.varve";
  const std::vector<std::string> create = varve_argv({"create", "-o", "encryption=aes-256-gcm,kdf_cost=15", image, "1M"});
  const auto type_twice = [](AtTerminal& asked, const std::string& first, const std::string& second) {
    REQUIRE(asked.shows("New passphrase for "));
    asked.type(first + "\n");
    REQUIRE(asked.shows("Again: "));
    asked.type(second + "\n");
  };
  AtTerminal fails(create);
  for (unsigned attempt = 0; attempt < 3; ++attempt) type_twice(fails, kCanary, kWrong);
  CHECK(fails.wait() == 1);
  CHECK_FALSE(exists(image));

  AtTerminal made(create);
  type_twice(made, kCanary, kWrong);
  REQUIRE(made.shows("the two differ, try again"));
  type_twice(made, kCanary, kCanary);
  CHECK(made.wait() == 0);
  CHECK(hushed({"map", "--key-file", key_file(dir, "k", kCanary), image}).exit_code == 0);

  // A slot for another: first the one that opens the image, then the new one.
  AtTerminal changed(varve_argv({"key", "change", "-f", "varve", "--kdf-cost", "15", image}));
  REQUIRE(changed.shows("Passphrase for "));
  changed.type(kCanary + "\n");
  type_twice(changed, kWrong, kWrong);
  REQUIRE(changed.shows("slot 0"));
  CHECK(changed.wait() == 0);
  CHECK(hushed({"map", "--key-file", key_file(dir, "k", kWrong), image}).exit_code == 0);
  for (const AtTerminal* terminal : {&fails, &made, &changed}) CHECK_FALSE(contains(terminal->screen(), kCanary));
}

TEST_CASE("encrypted: a passphrase typed for an image serves as often as the command opens it") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string image = encrypted_image(dir);
  AtTerminal compared(varve_argv({"compare", image, image}));
  REQUIRE(compared.shows("Passphrase for "));
  compared.type(kCanary + " old\n");
  REQUIRE(compared.shows("the contents are the same"));
  CHECK(compared.wait() == 0);
}
