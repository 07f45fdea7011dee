// What the program that is killed does, step by step, and what its disk and its snapshots hold after each step.
#ifndef VARVE_TESTS_NATIVE_KILLED_DISK_H
#define VARVE_TESTS_NATIVE_KILLED_DISK_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "support/seeds.h"
#include "support/shadow_disk.h"
#include "varve/image.h"

namespace varve::test {

/// A few writes and a flush, or a change of a snapshot: durable when it returns, and not there at all before.
class KilledDisk {
 public:
  explicit KilledDisk(uint64_t size) : disk_(size) {}
  /// As it is: the writer's view.
  explicit KilledDisk(Image& image);

  /// The next step by these numbers, on the model and, if there is one, on the image. Sessions differ in their number, steps in theirs.
  void step(Rng& rng, uint64_t session, uint64_t number, Image* image);

  /// What differs first, or an empty string. Snapshots are read by opening `path`.
  std::string difference(Image& image, const std::string& path) const;

  const ShadowDisk& disk() const { return disk_; }

 private:
  void change_snapshots(Rng& rng, const std::string& name, Image* image);
  void write(Rng& rng, uint64_t generation, Image* image);

  ShadowDisk disk_;
  std::map<std::string, ShadowDisk> kept_;
};

}  // namespace varve::test

#endif
