// An image in memory and the model of it and of each of its snapshots, for tests that take any way through them.
#ifndef VARVE_TESTS_NATIVE_WORLD_H
#define VARVE_TESTS_NATIVE_WORLD_H

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "io/memory_file_system.h"
#include "support/seeds.h"
#include "varve/image.h"

namespace varve::test {

/// An image of the native format, and what it and each of its snapshots must hold.
class World {
 public:
  using Bytes = std::vector<std::byte>;
  static constexpr const char* kPath = "dir/disk.varve";
  static constexpr uint64_t kSize = 300 * 1024 + 512;

  explicit World(const OptionMap& options);

  void open() { image_.emplace(Image::open(kPath, options(Access::read_write))); }
  void close() {
    image_->close();
    image_.reset();
  }
  void reopen() {
    close();
    open();
  }
  Image& image() { return *image_; }
  MemoryFileSystem& files() { return files_; }
  uint64_t size() const { return disk_.bytes.size(); }
  std::vector<std::string> kept() const;
  std::string any_of(Rng& rng) const;

  void write(uint64_t offset, const Bytes& data);
  void zero(uint64_t offset, uint64_t length);
  /// A write or a zeroing of some range.
  void random_change(Rng& rng, uint64_t generation);
  void resize(uint64_t size);
  void create(const std::string& name);
  void remove(const std::string& name);
  void revert(const std::string& name);

  /// The disk, each snapshot (of the file as it is), and the check.
  void expect_all();
  /// What snapshot `from` and `to` (empty: the disk) differ in, as `image` tells it.
  void expect_diff(Image& image, const std::string& from, const std::string& to) const;

  OpenOptions options(Access access);
  const Bytes& held(const std::string& name) const { return name.empty() ? disk_.bytes : kept_.at(name).bytes; }

 private:
  struct State {
    Bytes bytes;
    std::vector<uint64_t> versions;  ///< of each cluster: another one after each change, whatever it was
  };
  void touch(uint64_t offset, uint64_t length);

  MemoryFileSystem files_;
  std::optional<Image> image_;
  State disk_;
  std::map<std::string, State> kept_;
  uint64_t cluster_ = 0;
  uint64_t version_ = 0;
};

/// Ways to make such an image that lead to different code.
const std::vector<OptionMap>& world_options();
std::vector<std::byte> contents_of(Image& image);

}  // namespace varve::test

#endif
