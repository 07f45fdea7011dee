// One field of an image at a boundary value, and what such an image goes through.
#ifndef VARVE_TESTS_HOSTILE_MUTATIONS_H
#define VARVE_TESTS_HOSTILE_MUTATIONS_H

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "varve/error.h"
#include "varve/storage.h"

namespace varve::test {

/// A number in a file, little-endian.
struct Field {
  const char* name;
  uint64_t offset;
  uint8_t width;
};
uint64_t get(const std::vector<std::byte>& bytes, const Field& field);
void set(std::vector<std::byte>& bytes, const Field& field, uint64_t value);

/// Where arithmetic goes wrong: around powers of two, around what the field holds, and `more`, which the format knows. Without `old`.
std::vector<uint64_t> boundary_values(uint64_t old, uint8_t width, const std::set<uint64_t>& more);

/// How many there were. Where less work is asked for every eighth is tried.
class MutationCount {
 public:
  bool skips();
  uint64_t tried() const { return tried_; }
  void found(bool sound) { sound_ += sound ? 1 : 0; }
  uint64_t sound() const { return sound_; }

 private:
  uint64_t made_ = 0;
  uint64_t tried_ = 0;
  uint64_t sound_ = 0;
};

/// Runs one call; the error's code, or nullopt. Fails the test for anything but an Error that an image may cause.
std::optional<Errc> attempt(const std::function<void()>& call);

struct Mutant {
  const std::vector<std::byte>& bytes;
  std::string format;
  std::span<const std::pair<std::string, std::vector<std::byte>>> more_files = {};
};
/// open, info, check, map, read and convert: errors only, in bounded memory; what check finds sound can be read and mapped, and the file
/// stays as it is. True if check found no damage.
bool go_through_everything(const Mutant& image);
/// On a copy, opened for writing, one write and close: when they work, the data is there, and what was `sound` still is.
void go_through_writing(const Mutant& image, bool sound);
/// On a copy, repaired: if nothing is left by its own account, it is sound.
void go_through_repair(const Mutant& image);

}  // namespace varve::test

#endif
