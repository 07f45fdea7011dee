#include "nbd/disks.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "cli/cli.h"
#include "interop/exchange.h"
#include "io/unique_fd.h"
#include "support/seeds.h"

namespace varve::test {

const std::vector<DiskKind>& disk_kinds() {
  static const std::vector<DiskKind> all = {
      {"raw", "raw", "", false, "raw"},
      {"vmdk", "vmdk", "subformat=monolithicSparse", false, "vmdk"},
      {"vhdx", "vhdx", "block_size=1M", false, "vhdx"},
      {"varve", "varve", "", false},
      {"varve, encrypted and compressed", "varve", "compression=zstd,encryption=aes-256-gcm,kdf_cost=15", true},
  };
  return all;
}

namespace {

void write_key(const std::string& path) {
  write_file(path, "correct horse battery\n");
  REQUIRE(chmod(path.c_str(), 0600) == 0);
}

void must_work(const RunResult& result) {
  INFO(result.out << result.err);
  REQUIRE(result.exit_code == 0);
}

/// What a command that makes an image needs to be told.
std::vector<std::string> making_words(const DiskKind& kind, const std::string& key) {
  std::vector<std::string> words;
  if (!kind.options.empty()) words.insert(words.end(), {"-o", kind.options});
  if (kind.encrypted) words.insert(words.end(), {"--out-key-file", key});
  return words;
}

/// At least one that is larger than any format's unit.
void punch_hole(const std::string& path, off_t offset, off_t length) {
  const UniqueFd file(open(path.c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length) == 0);
}

}  // namespace

ServedDisk::ServedDisk(const DiskKind& kind) : kind_(kind), image_(dir_ / ("image." + kind.format)) {
  Rng rng("nbd disk of " + kind.name);
  make_raw_file(raw(), kSize, rng);
  punch_hole(raw(), 7 << 20, 5 << 20);
  write_key(key());
  std::vector<std::string> words = {"convert", "-f", "raw", "-O", kind.format, raw(), image_};
  const std::vector<std::string> more = making_words(kind, key());
  words.insert(words.begin() + 1, more.begin(), more.end());
  must_work(tool(words));
}

ServedDisk::ServedDisk(const DiskKind& kind, uint64_t size) : kind_(kind), image_(dir_ / ("image." + kind.format)) {
  write_key(key());
  std::vector<std::string> words = {"create", "-f", kind.format, image_, std::to_string(size)};
  const std::vector<std::string> more = making_words(kind, key());
  words.insert(words.begin() + 1, more.begin(), more.end());
  must_work(tool(words));
}

ServeHow ServedDisk::how(std::vector<std::string> options) const {
  ServeHow how{std::move(options), {"file=" + image_, "format=" + kind_.format}};
  if (kind_.encrypted) how.parameters.push_back("key-file=" + key());
  return how;
}

std::vector<std::string> ServedDisk::serve_argv(const std::vector<std::string>& more) const {
  std::vector<std::string> words = varve_argv({"serve", "-f", kind_.format});
  if (kind_.encrypted) words.insert(words.end(), {"--key-file", key()});
  words.insert(words.end(), more.begin(), more.end());
  words.push_back(image_);
  return words;
}

RunResult ServedDisk::varve(std::vector<std::string> words) const {
  words.insert(words.begin() + 1, {"-f", kind_.format});
  if (kind_.encrypted) words.insert(words.begin() + 1, {"--key-file", key()});
  return tool(words);
}

void ServedDisk::must_be_clean() const {
  const RunResult result = varve({"check", "--data", image_});
  INFO(kind_.name << ": " << result.out << result.err);
  CHECK(result.exit_code == (kind_.format == "raw" ? 63 : 0));
}

void ServedDisk::must_be_sound() const {
  constexpr int kOnlyLeaks = 3;
  const RunResult result = varve({"check", "--data", image_});
  INFO(kind_.name << ": " << result.out << result.err);
  if (kind_.format != "vmdk" || result.exit_code != kOnlyLeaks) CHECK(result.exit_code == (kind_.format == "raw" ? 63 : 0));
}

std::string ServedDisk::as_raw(const std::string& name) const {
  must_work(varve({"convert", "-O", "raw", image_, dir_ / name}));
  return dir_ / name;
}

bool same_bytes(const std::string& file, const std::string& other) { return run({"cmp", file, other}).exit_code == 0; }

}  // namespace varve::test
