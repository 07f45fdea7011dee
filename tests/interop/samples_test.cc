// Sample images that other software wrote. VARVE_SAMPLES names the folder; without it these cases are skipped.
#include <openssl/evp.h>

#include <array>
#include <cstdio>
#include <filesystem>
#include <memory>

#include "interop/exchange.h"
#include "support/host.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr const char* kVersion3Sha256 = "0859bb3397bc1d30fa979c80a289ce98bfd6c1141a64594d6f3cc8cd68218faf";

constexpr const char* kHyperVSha256 = "d3d112d8dab7fd360609f7d5a7b769904b7a2a7d7b6b8c535f65a23293c05478";

std::string sha256_of_disk(const std::string& path, const std::string& format) {
  OpenOptions how;
  how.format = format;
  Image image = Image::open(path, how);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> hash(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_DigestInit_ex(hash.get(), EVP_sha256(), nullptr);
  std::vector<std::byte> buffer(8 << 20);
  for (uint64_t at = 0; at < image.size(); at += buffer.size()) {
    const auto part = MutableBytes(buffer).first(static_cast<size_t>(std::min<uint64_t>(buffer.size(), image.size() - at)));
    image.read_at(at, part);
    EVP_DigestUpdate(hash.get(), part.data(), part.size());
  }
  std::array<unsigned char, 32> digest{};
  EVP_DigestFinal_ex(hash.get(), digest.data(), nullptr);
  std::string text;
  for (const unsigned char byte : digest) {
    std::array<char, 3> hex{};
    std::snprintf(hex.data(), hex.size(), "%02x", byte);
    text += hex.data();
  }
  return text;
}

/// The sample, unpacked into `dir`; empty, and why, if there is none.
std::string unpack_sample(const std::string& name, const TempDir& dir, std::string& why) {
  const char* samples = std::getenv("VARVE_SAMPLES");
  why = samples == nullptr || *samples == '\0' ? "VARVE_SAMPLES is not set" : "";
  if (!why.empty()) return {};
  const std::string packed = std::string(samples) + "/" + name + ".bz2";
  if (!std::filesystem::exists(packed)) why = "no " + packed;
  if (!why.empty()) return {};
  std::filesystem::copy_file(packed, dir / (name + ".bz2"));
  must_run({"bunzip2", dir / (name + ".bz2")});
  return dir / name;
}

TEST_CASE("Hyper-V's dynamic sample has its contents, and stays as it is whatever is read of it") {
  NEED_TOOL("bunzip2");
  const TempDir dir;
  std::string why;
  const std::string sample = unpack_sample("iotest-dynamic-1G.vhdx", dir, why);
  SKIP_IF_ANY(why);
  const std::vector<std::byte> before = bytes_of_file(sample);
  CHECK(sha256_of_disk(sample, "vhdx") == kHyperVSha256);
  {
    OpenOptions how;
    how.format = "vhdx";
    Image image = Image::open(sample, how);
    image.info();
    CHECK(image.check().clean());
    for (uint64_t at = 0; at < image.size();) at += image.extent_at(at).length;
  }
  convert_file(sample, "vhdx", dir / "copy.vhdx", "vhdx");
  CHECK(sha256_of_disk(dir / "copy.vhdx", "vhdx") == kHyperVSha256);
  CHECK(bytes_of_file(sample) == before);
}

TEST_CASE("ESXi's streamOptimized sample has its contents, also through every subformat that we write and back") {
  NEED_TOOL("bunzip2");
  const TempDir dir;
  std::string why;
  std::string previous = unpack_sample("iotest-version3.vmdk", dir, why);
  SKIP_IF_ANY(why);
  CHECK(sha256_of_disk(previous, "vmdk") == kVersion3Sha256);
  for (const std::string subformat : {"monolithicSparse", "streamOptimized", "twoGbMaxExtentSparse", "monolithicSparse"}) {
    INFO(subformat);
    const std::string next = dir / (subformat + std::to_string(previous.size()) + ".vmdk");
    convert_file(previous, "vmdk", next, "vmdk", {{"subformat", subformat}});
    OpenOptions how;
    how.format = "vmdk";
    Image before = Image::open(previous, how);
    Image after = Image::open(next, how);
    CHECK(compare(before, after).same);
    previous = next;
  }
  CHECK(sha256_of_disk(previous, "vmdk") == kVersion3Sha256);
}

}  // namespace
}  // namespace varve::test
