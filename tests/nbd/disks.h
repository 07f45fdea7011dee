// The images that the tests serve.
#ifndef VARVE_TESTS_NBD_DISKS_H
#define VARVE_TESTS_NBD_DISKS_H

#include <cstdint>
#include <string>
#include <vector>

#include "nbd/server.h"

namespace varve::test {

struct DiskKind {
  std::string name;
  std::string format;
  std::string options;  ///< of creation: "a=b,c=d"
  bool encrypted = false;
  std::string qemu = {};  ///< what qemu-img calls the format; empty: it does not know it
};

/// raw, vmdk, vhdx, varve, and varve encrypted and compressed.
const std::vector<DiskKind>& disk_kinds();

/// A directory with a disk's contents as "disk.raw" and an image of them.
class ServedDisk {
 public:
  static constexpr uint64_t kSize = 24 << 20;

  /// With data, zeros and holes.
  explicit ServedDisk(const DiskKind& kind);
  /// Empty, of this size.
  ServedDisk(const DiskKind& kind, uint64_t size);

  const DiskKind& kind() const { return kind_; }
  const std::string& image() const { return image_; }
  std::string raw() const { return dir_ / "disk.raw"; }
  std::string operator/(const std::string& name) const { return dir_ / name; }
  /// For a server.
  ServeHow how(std::vector<std::string> options = {}) const;
  /// argv of `varve serve` on it.
  std::vector<std::string> serve_argv(const std::vector<std::string>& more) const;
  /// The tool's command on the image, with its format and key.
  RunResult varve(std::vector<std::string> words) const;

  /// `varve check --data` finds neither damage nor leaks. Nothing may have the image open.
  void must_be_clean() const;
  /// The same after a server was killed: what was written to a VMDK and not flushed may have left space that nothing refers to.
  void must_be_sound() const;
  /// The disk's bytes, by the tool, into a new raw file; its name.
  std::string as_raw(const std::string& name) const;

 private:
  std::string key() const { return dir_ / "key"; }

  TempDir dir_;
  DiskKind kind_;
  std::string image_;
};

bool same_bytes(const std::string& file, const std::string& other);

}  // namespace varve::test

#endif
