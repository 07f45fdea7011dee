// Work of every kind on an encrypted image, for tests that look at something else than what it holds afterwards.
#ifndef VARVE_TESTS_NATIVE_WORKOUT_H
#define VARVE_TESTS_NATIVE_WORKOUT_H

#include <algorithm>
#include <string>
#include <vector>

#include "support/pattern.h"
#include "support/seeds.h"
#include "varve/error.h"
#include "varve/image.h"

namespace varve::test {

/// Gives these bytes, then the end.
inline AttachmentSource source_of(std::vector<std::byte> bytes) {
  return [bytes = std::move(bytes), given = size_t{0}](MutableBytes out) mutable {
    const size_t count = std::min(out.size(), bytes.size() - given);
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(given), count, out.begin());
    given += count;
    return count;
  };
}

class Workout {
 public:
  Workout(Image& image, Rng& rng) : image_(image), rng_(rng) {}

  void run(uint64_t steps) {
    for (uint64_t i = 0; i < steps; ++i) step();
  }
  /// One operation. Throws what it throws, but for what is refused because of a name.
  void step() {
    try {
      any();
    } catch (const Error& error) {
      if (error.code() != Errc::exists && error.code() != Errc::not_found) throw;
    }
  }
  void write() {
    if (image_.size() == 0) return;
    const uint64_t offset = rng_.below(image_.size());
    const uint64_t length = std::min(image_.size() - offset, rng_.between(1, rng_.one_in(4) ? 60000 : 5000));
    image_.write_at(offset, pattern(offset, rng_.below(1000), length));
  }

 private:
  void any() {
    const std::string name(1, static_cast<char>('a' + rng_.below(4)));
    switch (rng_.below(16)) {
      case 0: return image_.create_snapshot(name, 1);
      case 1: return image_.delete_snapshot(name);
      case 2: return image_.revert_to_snapshot(name);
      case 3: return image_.put_attachment({name, rng_.one_in(2) ? name : ""}, 1, source_of(pattern(0, 5, rng_.below(30000))), true);
      case 4: return image_.delete_attachment({name, rng_.one_in(2) ? name : ""});
      case 5: return image_.resize(rng_.between(200, 400) * 1024);
      case 6: {
        const uint64_t offset = rng_.below(image_.size());
        return image_.zero(offset, std::min<uint64_t>(image_.size() - offset, rng_.between(1, 40000)));
      }
      case 7:
      case 8:
      case 9: return image_.flush();
      default: return write();
    }
  }

  Image& image_;
  Rng& rng_;
};

}  // namespace varve::test

#endif
