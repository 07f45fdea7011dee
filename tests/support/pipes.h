// Images that come down a pipe, from memory.
#ifndef VARVE_TESTS_SUPPORT_PIPES_H
#define VARVE_TESTS_SUPPORT_PIPES_H

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "image/driver.h"

namespace varve::test {

/// Hands out at most `most` bytes at once.
class BytesSource final : public ByteSource {
 public:
  explicit BytesSource(std::vector<std::byte> bytes, size_t most = 1000) : bytes_(std::move(bytes)), most_(most) {}
  size_t read(MutableBytes out) override {
    const size_t n = std::min({out.size(), bytes_.size() - at_, most_});
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(at_), n, out.begin());
    at_ += n;
    return n;
  }

 private:
  const std::vector<std::byte> bytes_;
  const size_t most_;
  size_t at_ = 0;
};

class PipeContext final : public DriverContext {
 public:
  explicit PipeContext(const Limits& limits = {}) : limits_(limits) {}
  const std::string& path() const override { return path_; }
  const Limits& limits() const override { return limits_; }
  void warn(const std::string& /*line*/) override {}
  RandomSource& random() override { return random_; }

 private:
  const std::string path_ = "<pipe>";
  const Limits limits_;
  SeededRandom random_{1};
};

/// The whole disk.
inline std::vector<std::byte> read_stream(StreamReader& reader) {
  std::vector<std::byte> disk(static_cast<size_t>(reader.size()));
  while (const auto piece = reader.next())
    reader.load(*piece, MutableBytes(disk).subspan(static_cast<size_t>(piece->offset), static_cast<size_t>(piece->length)));
  return disk;
}

}  // namespace varve::test

#endif
