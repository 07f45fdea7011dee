// Encrypted images: made, read and given other keys. All of these cases need the encryption of the varve format.
#include <signal.h>

#include <chrono>
#include <thread>

#include "secrets.h"

using namespace varve::test;           // NOLINT
using namespace std::chrono_literals;  // NOLINT

namespace {

/// Does this open the image, and does it hold what it should?
bool opens(const TempDir& dir, const std::vector<std::string>& key) {
  std::vector<std::string> words = {"compare", "--strict", dir / "disk.raw", dir / "d.varve"};
  words.insert(words.begin() + 1, key.begin(), key.end());
  return hushed(words).exit_code == 0;
}

/// `varve key ACTION -f varve --key-file OLD ... d.varve`.
RunResult key(const TempDir& dir, const std::string& action, std::vector<std::string> words = {}) {
  words.insert(words.begin(), {"key", action, "-f", "varve", "--key-file", dir / "old", dir / "d.varve"});
  return hushed(words);
}

}  // namespace

TEST_CASE("encrypted: without its key an image tells what it is and nothing else") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string image = encrypted_image(dir);
  const RunResult locked = hushed({"info", image});
  CHECK(locked.exit_code == 0);
  CHECK(contains(locked.out, "yes, locked\n"));
  CHECK(contains(locked.out, "unknown without the key\n"));
  CHECK(contains(locked.out, "scrypt, N=2^15 r=8 p=1, 32 MiB\n"));
  const Json json = json_of(hushed({"info", "--json", image}));
  CHECK(json["encrypted"] == true);
  CHECK(json["locked"] == true);
  CHECK(json["virtual_size"] == nullptr);
  CHECK_FALSE(json.contains("snapshots"));
  CHECK(json["key_slots"] == Json::parse(R"([{"slot": 0, "kdf": "scrypt", "log2_n": 15, "r": 8, "p": 1, "memory": 33554432}])"));
  const Json open = json_of(hushed({"info", "--json", "--key-file", dir / "old", image}));
  CHECK(open["locked"] == false);
  CHECK(open["virtual_size"] == 1 << 20);
  CHECK(open.contains("snapshots"));
}

TEST_CASE("encrypted: a wrong key and no key are told apart, and both are failures that leave nothing") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string image = encrypted_image(dir);
  const std::string wrong = key_file(dir, "wrong", kCanary + " wrong");
  const std::string out = dir / "out.raw";
  const RunResult with_wrong = hushed({"convert", "--key-file", wrong, image, out});
  const RunResult with_none = hushed({"convert", image, out});
  for (const RunResult* result : {&with_wrong, &with_none}) {
    INFO(result->err);
    CHECK(result->exit_code == 1);
    CHECK(is_one_line_error(*result));
    CHECK(contains(result->err, image));
  }
  CHECK(with_wrong.err != with_none.err);
  CHECK_FALSE(exists(out));
  CHECK(hushed({"compare", dir / "disk.raw", image}).exit_code == 2);
  CHECK(hushed({"info", "--key-file", wrong, image}).exit_code == 1);
  CHECK(hushed({"convert", "--key-file", dir / "old", image, out}).exit_code == 0);
  CHECK(read_file(out) == read_file(dir / "disk.raw"));
}

TEST_CASE("encrypted: secrets come from files, which are tried in order, from descriptors and from commands") {
  NEED_TOOL("setsid");
  const TempDir dir;
  encrypted_image(dir);
  const std::string old = dir / "old";
  const std::string wrong = key_file(dir, "wrong", kCanary + " wrong");
  const std::string dos = key_file(dir, "dos", kCanary + " old\r\n");
  CHECK(opens(dir, {"--key-file", wrong, "--key-file", dos}));
  CHECK(opens(dir, {"--key-file", old, "--key-slot", "0"}));
  CHECK_FALSE(opens(dir, {"--key-file", old, "--key-slot", "1"}));
  CHECK_FALSE(opens(dir, {"--key-file", key_file(dir, "two", kCanary + " old\n\n")}));
  CHECK(opens(dir, {"--key-command", "cat '" + old + "'"}));
  CHECK(opens(dir, {"--key-command", "cat '" + dos + "'; seq 100000"}));
  CHECK_FALSE(opens(dir, {"--key-command", "echo; cat '" + old + "'"}));
  const std::string compare = R"("$V" compare --key-fd 3 "$1" "$2" 3<"$3")";
  CHECK(hushed_sh(compare, {dir / "disk.raw", dir / "d.varve", old}).exit_code == 0);
  // One descriptor serves both images.
  CHECK(hushed_sh(compare, {dir / "d.varve", dir / "d.varve", old}).exit_code == 0);
  const std::string piped = R"(cat "$3" | "$V" compare --key-fd 0 "$1" "$2")";
  CHECK(hushed_sh(piped, {dir / "disk.raw", dir / "d.varve", old}).exit_code == 0);
}

TEST_CASE("encrypted: a key command that fails is told by its status, one that waits is ended by a signal") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string image = encrypted_image(dir);
  const RunResult failed = hushed({"map", "--key-command", "cat '" + (dir / "old") + "'; exit 3", image});
  CHECK(failed.exit_code == 1);
  CHECK(is_one_line_error(failed));
  CHECK(contains(failed.err, "exit status 3"));
  CHECK(contains(hushed({"map", "--key-command", "kill -9 $$", image}).err, "signal 9"));
  CHECK(contains(hushed({"map", "--key-command", "true", image}).err, "the passphrase is empty"));
  CHECK(hushed({"map", "--key-command", "read x || exit 4; cat '" + (dir / "old") + "'", image}).exit_code == 1);  // no input
  Background waits(varve_argv({"map", "--key-command", "exec sleep 60", image}));
  std::this_thread::sleep_for(300ms);
  REQUIRE(waits.running());
  CHECK(waits.stop(SIGTERM) == 143);
}

TEST_CASE("encrypted: a raw key opens what was made with it") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string raw = key_file(dir, "raw", noise(31) + "\n");
  const std::string image = dir / "d.varve";
  CHECK(hushed({"create", "-o", "encryption=aes-256-gcm", "--out-key-file", raw, "--out-key-format=raw", image, "1M"}).exit_code == 0);
  CHECK(hushed({"map", "--key-format=raw", "--key-file", raw, image}).exit_code == 0);
  CHECK(hushed({"map", "--key-format=raw", "--key-command", "cat '" + raw + "'", image}).exit_code == 0);
  CHECK(hushed({"map", "--key-file", raw, image}).exit_code == 1);
  CHECK(hushed({"map", "--key-format=raw", "--key-file", key_file(dir, "short", noise(31)), image}).exit_code == 1);
  CHECK(json_of(hushed({"key", "list", "--json", image}))["slots"] == Json::parse(R"([{"slot": 0, "kdf": "none"}])"));
  CHECK(hushed({"key", "list", image}).out == "slot 0  raw key\n");
}

TEST_CASE("encrypted: keys are added, listed, changed and removed, but for the last one") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string image = encrypted_image(dir);
  const std::string other = key_file(dir, "other", kCanary + " other");
  const std::string third = key_file(dir, "third", kCanary + " third");
  const RunResult added = key(dir, "add", {"--out-key-file", other, "--kdf", "pbkdf2", "--kdf-cost", "600000"});
  CHECK(added.exit_code == 0);
  CHECK(added.out == "slot 1\n");
  CHECK(json_of(key(dir, "add", {"--json", "--out-key-file", third, "--kdf-cost", "15"})) == Json::parse(R"({"slot": 2})"));
  CHECK(hushed({"key", "list", image}).out ==
        "slot 0  scrypt, N=2^15 r=8 p=1, 32 MiB\nslot 1  pbkdf2, 600000 iterations\nslot 2  scrypt, N=2^15 r=8 p=1, 32 MiB\n");
  CHECK(json_of(hushed({"key", "list", "--json", image}))["slots"][1] ==
        Json::parse(R"({"slot": 1, "kdf": "pbkdf2", "iterations": 600000})"));
  CHECK(opens(dir, {"--key-file", other}));

  // The slot that was opened, then one that is named.
  CHECK(key(dir, "change", {"--out-key-file", key_file(dir, "new", kCanary + " new"), "--kdf-cost", "15"}).out == "slot 0\n");
  CHECK_FALSE(opens(dir, {"--key-file", dir / "old"}));
  CHECK(opens(dir, {"--key-file", dir / "new"}));
  const std::vector<std::string> by_new = {"-f", "varve", "--key-file", dir / "new", image};
  const auto with_new = [&](std::vector<std::string> words) {
    words.insert(words.begin() + 2, by_new.begin(), by_new.end());
    return hushed(words);
  };
  CHECK(with_new({"key", "change", "2", "--out-key-file", dir / "old", "--kdf-cost", "15"}).exit_code == 0);
  CHECK(opens(dir, {"--key-file", dir / "old"}));
  CHECK_FALSE(opens(dir, {"--key-file", third}));
  CHECK(with_new({"key", "change", "7", "--out-key-file", dir / "old"}).exit_code == 1);
  CHECK(with_new({"key", "remove", "2"}).out == "slot 2\n");
  CHECK(with_new({"key", "remove", "2"}).exit_code == 1);
  CHECK(with_new({"key", "remove", "1"}).exit_code == 0);
  const RunResult last = with_new({"key", "remove"});
  CHECK(last.exit_code == 1);
  CHECK(is_one_line_error(last));
  CHECK(opens(dir, {"--key-file", dir / "new"}));
  CHECK(hushed({"check", "--data", "--key-file", dir / "new", image}).exit_code == 0);
}

TEST_CASE("encrypted: too weak a derivation and a missing new secret leave the slots as they are") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string image = encrypted_image(dir);
  const std::string before = hushed({"key", "list", "--json", image}).out;
  const std::string other = key_file(dir, "other", kCanary + " other");
  for (const auto& words : std::vector<std::vector<std::string>>{{"--out-key-file", other, "--kdf-cost", "14"},
                                                                 {"--out-key-file", other, "--kdf", "pbkdf2", "--kdf-cost", "1000"},
                                                                 {"--out-key-file", dir / "missing"},
                                                                 {}}) {
    const RunResult result = key(dir, "add", words);
    INFO(result.err);
    CHECK(result.exit_code == 1);
    CHECK(is_one_line_error(result));
  }
  CHECK(contains(key(dir, "add").err, "no passphrase given"));
  CHECK(hushed({"key", "list", "--json", image}).out == before);
}

TEST_CASE("encrypted: rotate keeps the slots whose secrets it is given, and drops others only if it is told to") {
  NEED_TOOL("setsid");
  const TempDir dir;
  encrypted_image(dir);
  const std::string other = key_file(dir, "other", kCanary + " other");
  const std::string third = key_file(dir, "third", kCanary + " third");
  for (const std::string& file : {other, third}) REQUIRE(key(dir, "add", {"--out-key-file", file, "--kdf-cost", "15"}).exit_code == 0);
  const RunResult refused = key(dir, "rotate", {"--also-key-file", other});
  CHECK(refused.exit_code == 1);
  CHECK(is_one_line_error(refused));
  CHECK(opens(dir, {"--key-file", third}));
  CHECK(json_of(key(dir, "rotate", {"--also-key-file", other, "--drop-others", "--json"}))["done"] == "rotate");
  CHECK(opens(dir, {"--key-file", dir / "old"}));
  CHECK(opens(dir, {"--key-file", other}));
  CHECK_FALSE(opens(dir, {"--key-file", third}));
}

TEST_CASE("encrypted: source and target of a conversion have secrets of their own, and so has a child's parent") {
  NEED_TOOL("setsid");
  const TempDir dir;
  const std::string image = encrypted_image(dir);
  const std::string other = key_file(dir, "other", kCanary + " other");
  const std::string encryption = "encryption=aes-256-gcm,kdf_cost=15";
  CHECK(hushed({"convert", "-o", encryption, "--key-file", dir / "old", "--out-key-file", other, image, dir / "e.varve"}).exit_code == 0);
  CHECK(hushed({"compare", "--key-file", dir / "old", "--key-file", other, image, dir / "e.varve"}).exit_code == 0);
  const std::string delta = dir / "delta.varve";
  CHECK(hushed({"create", "-o", encryption, "-b", "d.varve", "--key-file", dir / "old", "--out-key-file", other, delta}).exit_code == 0);
  CHECK(hushed({"compare", "--require-encryption", "--key-file", dir / "old", "--key-file", other, image, delta}).exit_code == 0);
  // One descriptor is read once for the source and for the parent, which is the same image here.
  const std::string script = R"("$V" convert -o "$1" -b d.varve --key-fd 3 --out-key-fd 4 "$2" "$3" 3<"$4" 4<"$5")";
  CHECK(hushed_sh(script, {encryption, image, dir / "f.varve", dir / "old", other}).exit_code == 0);
}
