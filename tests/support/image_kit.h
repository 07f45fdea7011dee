// Images in memory, by configuration: what the suites that run over every format and option set share.
#ifndef VARVE_TESTS_SUPPORT_IMAGE_KIT_H
#define VARVE_TESTS_SUPPORT_IMAGE_KIT_H

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/memory_file_system.h"
#include "support/shadow_disk.h"
#include "varve/image.h"
#include "varve/ops.h"

namespace varve::test {

struct ImageConfig {
  std::string name;
  std::string format;
  OptionMap options;
  uint64_t size = 0;
  std::optional<uint64_t> parent_size;  ///< a child of a parent of this size, which is filled before
  uint64_t sector = 512;                ///< sizes are multiples of it
  std::string parent_format = {};       ///< empty: the child's own
};

/// Every writable format with the option sets that lead to different code.
const std::vector<ImageConfig>& writable_configs();
inline constexpr size_t kWritableConfigs = 47;  ///< writable_configs().size(), for tables made by the compiler

/// A file system in memory that holds one image (and its parent), and the model of the disk.
class TestDisk {
 public:
  static constexpr const char* kPath = "dir/disk.img";
  static constexpr const char* kParentPath = "dir/base.img";

  /// Creates parent and image and closes them. With `random` they are the same to the last byte each time.
  explicit TestDisk(const ImageConfig& config, RandomSource* random = nullptr);

  Image open(Access access = Access::read_write);
  Image open(const OpenOptions& options);
  OpenOptions open_options(Access access = Access::read_write);
  CreateOptions create_options();

  /// Every file's bytes, to prove that nothing changed.
  std::vector<std::pair<std::string, std::vector<std::byte>>> snapshot() const;

  const ImageConfig& config() const { return config_; }
  MemoryFileSystem& files() { return *files_; }
  ShadowDisk& model() { return model_; }
  const ShadowDisk& parent_model() const { return parent_; }

  /// The file system to open through; a test may put a wrapper there.
  FileSystem* through = nullptr;

 private:
  static ShadowDisk make_parent(const ImageConfig& config, MemoryFileSystem& files, RandomSource* random);

  ImageConfig config_;
  RandomSource* const random_;
  std::unique_ptr<MemoryFileSystem> files_;
  ShadowDisk parent_;
  ShadowDisk model_;
};

/// A fresh image of `format` at `path` with `size` bytes, closed.
void create_image(FileSystem& files, const std::string& path, const std::string& format, uint64_t size, const OptionMap& options = {},
                  RandomSource* random = nullptr);

/// Problems that a check finds, one a line, leaks and notes left out; empty if there are none.
std::string damages(Image& image, bool data = true);
std::string describe(const CheckReport& report);

}  // namespace varve::test

#endif
