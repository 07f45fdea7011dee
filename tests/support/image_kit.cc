#include "support/image_kit.h"

#include "support/pattern.h"
#include "support/secrets.h"

namespace varve::test {

namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kMiB = 1024 * kKiB;

ImageConfig vmdk(const std::string& name, uint64_t size, OptionMap options, std::optional<uint64_t> parent_size = std::nullopt) {
  return {"vmdk " + name, "vmdk", std::move(options), size, parent_size};
}

ImageConfig vhdx(const std::string& name, uint64_t size, OptionMap options, std::optional<uint64_t> parent_size = std::nullopt) {
  const auto sector = options.find("logical_sector_size");
  const uint64_t unit = sector == options.end() ? 512 : std::stoull(sector->second);
  return {"vhdx " + name, "vhdx", std::move(options), size, parent_size, unit};
}

ImageConfig native(const std::string& name, uint64_t size, OptionMap options, std::optional<uint64_t> parent_size = std::nullopt,
                   const std::string& parent_format = {}) {
  options.emplace("journal_size", "128K");
  return {"varve " + name, "varve", std::move(options), size, parent_size, 512, parent_format};
}

const std::string& parent_format_of(const ImageConfig& config) {
  return config.parent_format.empty() ? config.format : config.parent_format;
}

std::vector<ImageConfig> make_configs() {
  const uint64_t odd = 3 * kMiB + 5 * 512;
  const std::pair<const std::string, std::string> kEncrypted = {"encryption", "aes-256-gcm"};
  return {
      {"raw", "raw", {}, odd, std::nullopt},
      {"raw, 1000 bytes", "raw", {}, 1000, std::nullopt},
      {"raw, empty", "raw", {}, 0, std::nullopt},
      vmdk("monolithicSparse", 4 * kMiB, {{"subformat", "monolithicSparse"}}),
      vmdk("monolithicSparse, odd size", odd, {{"subformat", "monolithicSparse"}}),
      vmdk("monolithicSparse, one sector", 512, {{"subformat", "monolithicSparse"}}),
      vmdk("monolithicSparse, 4 KiB grains", odd, {{"subformat", "monolithicSparse"}, {"grain_size", "4K"}}),
      vmdk("monolithicSparse, 1 MiB grains", odd, {{"subformat", "monolithicSparse"}, {"grain_size", "1M"}}),
      vmdk("monolithicSparse, zeroed grains", odd, {{"subformat", "monolithicSparse"}, {"zeroed_grain", "on"}}),
      vmdk("monolithicSparse, zeroed 4 KiB grains", odd, {{"subformat", "monolithicSparse"}, {"zeroed_grain", "on"}, {"grain_size", "4K"}}),
      vmdk("monolithicSparse delta", odd, {{"subformat", "monolithicSparse"}}, odd),
      vmdk("monolithicSparse delta, zeroed 4 KiB grains", odd,
           {{"subformat", "monolithicSparse"}, {"zeroed_grain", "on"}, {"grain_size", "4K"}}, odd),
      vmdk("monolithicSparse delta over a shorter parent", odd, {{"subformat", "monolithicSparse"}}, kMiB + 512),
      vmdk("monolithicFlat", odd, {{"subformat", "monolithicFlat"}}),
      vmdk("monolithicFlat, one sector", 512, {{"subformat", "monolithicFlat"}}),
      vmdk("twoGbMaxExtentSparse", odd, {{"subformat", "twoGbMaxExtentSparse"}}),
      vmdk("twoGbMaxExtentSparse, zeroed grains", 4 * kMiB, {{"subformat", "twoGbMaxExtentSparse"}, {"zeroed_grain", "on"}}),
      vmdk("twoGbMaxExtentSparse delta", odd, {{"subformat", "twoGbMaxExtentSparse"}}, odd),
      vmdk("twoGbMaxExtentFlat", odd, {{"subformat", "twoGbMaxExtentFlat"}}),
      vmdk("vmfs", odd, {{"subformat", "vmfs"}}),
      native("4 KiB clusters", odd, {{"cluster_size", "4K"}}),
      native("4 KiB clusters, zlib", odd, {{"cluster_size", "4K"}, {"compression", "zlib:1"}}),
      native("4 KiB clusters, zstd", odd, {{"cluster_size", "4K"}, {"compression", "zstd"}}),
      native("64 KiB clusters", odd, {}),
      native("64 KiB clusters, zlib", odd, {{"compression", "zlib:1"}}),
      native("64 KiB clusters, zstd", odd, {{"compression", "zstd"}}),
      native("2 MiB clusters", odd, {{"cluster_size", "2M"}, {"journal_size", "1M"}}),
      native("2 MiB clusters, zlib", odd, {{"cluster_size", "2M"}, {"compression", "zlib:1"}, {"journal_size", "1M"}}),
      native("2 MiB clusters, zstd", odd, {{"cluster_size", "2M"}, {"compression", "zstd:1"}, {"journal_size", "1M"}}),
      native("no journal", odd, {{"journal_size", "0"}}),
      native("4 KiB clusters, zlib, no journal", odd, {{"cluster_size", "4K"}, {"compression", "zlib:1"}, {"journal_size", "0"}}),
      native("one sector", 512, {}),
      native("empty", 0, {}),
      native("child", odd, {{"cluster_size", "16K"}}, odd),
      native("child over a shorter parent", odd, {{"cluster_size", "4K"}, {"compression", "zstd"}}, kMiB + 512),
      native("child over a VMDK", odd, {{"compression", "zlib:1"}}, odd, "vmdk"),
      native("child over a shorter raw disk, no journal", odd, {{"cluster_size", "4K"}, {"journal_size", "0"}}, kMiB + 512, "raw"),
      native("4 KiB clusters, encrypted", odd, {{"cluster_size", "4K"}, kEncrypted}),
      native("64 KiB clusters, zstd, encrypted", odd, {{"compression", "zstd"}, kEncrypted}),
      native("2 MiB clusters, no journal, encrypted", odd, {{"cluster_size", "2M"}, {"journal_size", "0"}, kEncrypted}),
      native("encrypted child", odd, {{"cluster_size", "16K"}, kEncrypted}, kMiB + 512),
      vhdx("dynamic", odd, {{"block_size", "1M"}}),
      vhdx("dynamic, one sector", 512, {}),
      vhdx("dynamic, 4096-byte sectors", 4 * kMiB, {{"block_size", "2M"}, {"logical_sector_size", "4096"}}),
      vhdx("fixed", odd, {{"subformat", "fixed"}, {"block_size", "1M"}}),
      vhdx("differencing", odd, {{"block_size", "1M"}}, odd),
      vhdx("differencing, 4096-byte sectors, over a shorter parent", 4 * kMiB, {{"block_size", "1M"}, {"logical_sector_size", "4096"}},
           kMiB + 4096),
  };
}

}  // namespace

const std::vector<ImageConfig>& writable_configs() {
  static const std::vector<ImageConfig> configs = make_configs();
  return configs;
}

void create_image(FileSystem& files, const std::string& path, const std::string& format, uint64_t size, const OptionMap& options,
                  RandomSource* random) {
  CreateOptions how;
  how.random = random;
  how.options = options;
  how.secret = test_key();
  how.file_system = &files;
  Image::create(path, format, size, how).close();
}

ShadowDisk TestDisk::make_parent(const ImageConfig& config, MemoryFileSystem& files, RandomSource* random) {
  ShadowDisk parent(config.parent_size.value_or(0));
  if (!config.parent_size) return parent;
  OptionMap options;
  if (config.sector != 512) options["logical_sector_size"] = std::to_string(config.sector);
  create_image(files, kParentPath, parent_format_of(config), *config.parent_size, options, random);
  OpenOptions how;
  how.random = random;
  how.access = Access::read_write;
  how.format = parent_format_of(config);
  how.secret = test_key();
  how.file_system = &files;
  Image image = Image::open(kParentPath, how);
  const std::vector<std::byte> data = pattern(0, 1000000, static_cast<size_t>(*config.parent_size));
  image.write_at(0, data);
  image.close();
  parent.write(0, data);
  return parent;
}

TestDisk::TestDisk(const ImageConfig& config, RandomSource* random)
    : config_(config),
      random_(random),
      files_(std::make_unique<MemoryFileSystem>()),
      parent_(make_parent(config, *files_, random)),
      model_(config.size, parent_) {
  Image::create(kPath, config.format, config.size, create_options()).close();
}

CreateOptions TestDisk::create_options() {
  CreateOptions how;
  how.options = config_.options;
  how.secret = test_key();
  how.parent_secret = test_key();
  how.random = random_;
  how.file_system = through != nullptr ? through : files_.get();
  if (config_.parent_size) {
    how.parent = "base.img";
    how.parent_format = parent_format_of(config_);
  }
  return how;
}

OpenOptions TestDisk::open_options(Access access) {
  OpenOptions how;
  how.access = access;
  how.format = config_.format;
  how.secret = test_key();
  how.random = random_;
  how.file_system = through != nullptr ? through : files_.get();
  return how;
}

Image TestDisk::open(Access access) { return Image::open(kPath, open_options(access)); }

Image TestDisk::open(const OpenOptions& options) { return Image::open(kPath, options); }

std::vector<std::pair<std::string, std::vector<std::byte>>> TestDisk::snapshot() const {
  std::vector<std::pair<std::string, std::vector<std::byte>>> all;
  for (const std::string& path : files_->paths()) all.emplace_back(path, files_->find(path)->contents());
  return all;
}

std::string describe(const CheckReport& report) {
  std::string text;
  for (const Finding& finding : report.findings) text += std::string(severity_name(finding.severity)) + ": " + finding.message + "\n";
  return text;
}

std::string damages(Image& image, bool data) {
  if (!image.format().can.check) return {};
  CheckOptions options;
  options.data = data;
  const CheckReport report = image.check(options);
  return report.damages == 0 ? std::string() : describe(report);
}

}  // namespace varve::test
