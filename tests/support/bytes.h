// Bytes to write, and the bytes of what a test looks at.
#ifndef VARVE_TESTS_SUPPORT_BYTES_H
#define VARVE_TESTS_SUPPORT_BYTES_H

#include <doctest/doctest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "varve/image.h"
#include "varve/storage.h"

namespace varve::test {

/// `n` bytes of one value.
inline std::vector<std::byte> bytes(size_t n, int value) { return std::vector<std::byte>(n, static_cast<std::byte>(value)); }

inline std::vector<std::byte> read(Storage& storage, uint64_t offset, size_t n) {
  std::vector<std::byte> out(n, std::byte{0xee});
  storage.read_at(offset, out);
  return out;
}

/// The whole disk.
inline std::vector<std::byte> contents_of(Image& image) {
  std::vector<std::byte> out(static_cast<size_t>(image.size()));
  image.read_at(0, out);
  return out;
}

/// A file of the host, which must be there.
inline std::vector<std::byte> bytes_of_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  REQUIRE_MESSAGE(in.good(), "no file " << path);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const auto all = std::as_bytes(std::span(text));
  return {all.begin(), all.end()};
}

inline void write_file(const std::string& path, ConstBytes contents) {
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(contents.data()), static_cast<std::streamsize>(contents.size()));
  out.close();
  REQUIRE_MESSAGE(out.good(), "cannot write " << path);
}

}  // namespace varve::test

#endif
