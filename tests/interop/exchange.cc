#include "interop/exchange.h"

#include <unistd.h>

#include <fstream>

#include "support/pattern.h"
#include "support/test.h"

namespace varve::test {

void make_raw_file(const std::string& path, uint64_t size, Rng& rng) {
  std::ofstream out(path, std::ios::binary);
  for (uint64_t at = 0; at < size;) {
    const uint64_t length = std::min<uint64_t>(size - at, rng.between(1, 150000));
    const uint64_t kind = rng.below(3);
    if (kind != 0) {
      std::vector<std::byte> data = pattern(at, rng.below(1000), static_cast<size_t>(length));
      if (kind == 1) std::fill(data.begin(), data.end(), std::byte{0});
      out.seekp(static_cast<std::streamoff>(at));
      out.write(reinterpret_cast<const char*>(data.data()), static_cast<std::streamsize>(data.size()));
    }
    at += length;
  }
  out.close();
  REQUIRE(truncate(path.c_str(), static_cast<off_t>(size)) == 0);
}

void convert_file(const std::string& from, const std::string& from_format, const std::string& to, const std::string& to_format,
                  const OptionMap& options) {
  ConvertOptions how;
  how.source_format = from_format;
  how.target_format = to_format;
  how.create.options = options;
  how.create.durable = false;
  how.create.force = true;
  convert(from, to, how);
}

std::vector<std::byte> read_disk(const std::string& path, const std::string& format) {
  OpenOptions how;
  how.format = format;
  Image image = Image::open(path, how);
  return contents_of(image);
}

}  // namespace varve::test
