#include "vmdk/images.h"

#include <zlib.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>

namespace varve::test {

void put(Bytes& bytes, uint64_t offset, uint64_t value, unsigned size) {
  if (bytes.size() < offset + size) bytes.resize(offset + size);
  for (unsigned i = 0; i < size; ++i) bytes[offset + i] = static_cast<std::byte>(value >> (8 * i));
}

void put_text(Bytes& bytes, uint64_t offset, const std::string& text) {
  if (bytes.size() < offset + text.size()) bytes.resize(offset + text.size());
  std::memcpy(bytes.data() + offset, text.data(), text.size());
}

uint64_t get(const Bytes& bytes, uint64_t offset, unsigned size) {
  uint64_t value = 0;
  for (unsigned i = 0; i < size; ++i) value |= static_cast<uint64_t>(bytes.at(offset + i)) << (8 * i);
  return value;
}

ConstBytes bytes_of_text(const std::string& text) { return std::as_bytes(std::span(text)); }

Bytes pattern(uint64_t size, unsigned seed) {
  Bytes out(size);
  uint32_t state = seed * 2654435761U + 1;
  for (std::byte& b : out) {
    state = state * 1664525 + 1013904223;
    b = static_cast<std::byte>(1 + (state >> 24) % 255);
  }
  return out;
}

namespace {

void put_bytes(Bytes& bytes, uint64_t offset, const Bytes& what) {
  if (bytes.size() < offset + what.size()) bytes.resize(offset + what.size());
  std::copy(what.begin(), what.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
}

void pad_to_sector(Bytes& bytes) { bytes.resize((bytes.size() + 511) / 512 * 512); }

}  // namespace

Bytes cowd_image(uint32_t sectors, const std::map<uint64_t, Bytes>& grains) {
  const uint64_t tables = (sectors + 4095) / 4096;
  const uint64_t directory_sectors = (tables * 4 + 511) / 512;
  Bytes out(2048);
  put_text(out, 0, "COWD");
  put(out, 4, 1, 4);
  put(out, 8, 3, 4);
  put(out, 12, sectors, 4);
  put(out, 16, 1, 4);
  put(out, 20, 4, 4);
  put(out, 24, tables, 4);
  out.resize((4 + directory_sectors) * 512);
  // Tables and grains come as they are needed, so they lie in between each other.
  for (const auto& [number, data] : grains) {
    const uint64_t entry = 2048 + number / 4096 * 4;
    if (get(out, entry, 4) == 0) {
      put(out, entry, out.size() / 512, 4);
      out.resize(out.size() + 4096 * 4);
    }
    put(out, get(out, entry, 4) * 512 + number % 4096 * 4, out.size() / 512, 4);
    put_bytes(out, out.size(), data);
    pad_to_sector(out);
  }
  put(out, 28, out.size() / 512, 4);
  return out;
}

Bytes sesparse_image(const SeSparse& what) {
  constexpr uint64_t kDirectory = 8;
  const uint64_t tables = (what.sectors + 8 * 4096 - 1) / (8 * 4096);
  const uint64_t first_table = kDirectory + 8;
  const uint64_t bitmap = first_table + tables * 64;
  const uint64_t backmap = bitmap + 8;
  const uint64_t first_grain = backmap + 8;
  Bytes out(first_grain * 512);
  put(out, 0, 0xcafebabe, 8);
  put(out, 8, 0x200000001, 8);
  put(out, 16, what.sectors, 8);
  put(out, 24, 8, 8);
  put(out, 32, 64, 8);
  // As ESXi lays them out; the grains' area reaches as far as it may grow.
  const uint64_t areas[8][2] = {
      {1, 1}, {2, 2}, {4, 4}, {kDirectory, 8}, {first_table, tables * 64}, {bitmap, 8}, {backmap, 8}, {first_grain, what.sectors}};
  for (unsigned i = 0; i < 8; ++i) {
    put(out, 80 + 16 * i, areas[i][0], 8);
    put(out, 88 + 16 * i, areas[i][1], 8);
  }
  put(out, 512, 0xcafecafe, 8);
  put(out, 512 + 24, what.dirty ? 1 : 0, 8);
  const auto set = [&](uint64_t grain, uint64_t entry) {
    put(out, kDirectory * 512 + grain / 4096 * 8, 0x1000000000000000 | grain / 4096, 8);
    put(out, first_table * 512 + grain * 8, entry, 8);
  };
  uint64_t number = what.first_number;
  for (const auto& [grain, data] : what.grains) {
    set(grain, uint64_t{3} << 60 | (number & 0xfff) << 48 | number >> 12);
    put_bytes(out, first_grain * 512 + number * 4096, data);
    ++number;
  }
  for (const uint64_t grain : what.zeros) set(grain, uint64_t{2} << 60);
  for (const uint64_t grain : what.unmapped) set(grain, uint64_t{1} << 60);
  return out;
}

namespace {

Bytes deflated(const Bytes& in) {
  uLongf size = compressBound(in.size());
  Bytes out(size);
  if (compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(in.data()), in.size()) != Z_OK)
    throw std::runtime_error("compress");
  out.resize(size);
  return out;
}

struct StreamBuilder {
  const Stream& what;
  uint64_t grains = (what.sectors + 127) / 128;
  uint64_t tables = (grains + 511) / 512;
  Bytes out = {};
  std::vector<uint32_t> entries = std::vector<uint32_t>(tables * 512);

  void marker(uint64_t value, uint32_t type) {
    const uint64_t at = out.size();
    out.resize(at + 512);
    put(out, at, value, 8);
    put(out, at + 12, type, 4);
  }

  Bytes header(uint64_t directory) const {
    Bytes h(512);
    put_text(h, 0, "KDMV");
    put(h, 4, 3, 4);
    put(h, 8, 0x30001U | (what.zeros.empty() ? 0 : 4), 4);
    put(h, 12, what.sectors, 8);
    put(h, 20, 128, 8);
    put(h, 28, 1, 8);
    put(h, 36, 20, 8);
    put(h, 44, 512, 4);
    put(h, 56, directory, 8);
    put(h, 64, 128, 8);
    put_text(h, 73, "\n \r\n");
    put(h, 77, 1, 2);
    return h;
  }

  void put_grains() {
    for (const uint64_t grain : what.zeros) entries[grain] = 1;
    for (const auto& [number, data] : what.grains) {
      entries[number] = static_cast<uint32_t>(out.size() / 512);
      const Bytes stored = deflated(data);
      const uint64_t at = out.size();
      put(out, at, number * 128, 8);
      put(out, at + 8, stored.size(), 4);
      put_bytes(out, at + 12, stored);
      pad_to_sector(out);
    }
  }

  uint64_t directory_bytes() const { return ((tables * 4) + 511) / 512 * 512; }

  /// Returns the directory.
  Bytes put_tables(bool marked) {
    Bytes directory(directory_bytes());
    for (uint64_t table = 0; table < tables; ++table) {
      if (marked) marker(4, 1);
      put(directory, table * 4, out.size() / 512, 4);
      for (uint64_t i = 0; i < 512; ++i) put(out, out.size(), entries[table * 512 + i], 4);
    }
    return directory;
  }

  /// Both return the directory's sector.
  uint64_t put_directory_behind() {
    const Bytes directory = put_tables(true);
    marker(directory.size() / 512, 2);
    put_bytes(out, out.size(), directory);
    return (out.size() - directory.size()) / 512;
  }
  uint64_t put_directory_in_front() {
    const Bytes grains_part(out.begin() + 128 * 512, out.end());
    constexpr uint64_t kSector = 21;
    out.resize(kSector * 512 + (what.tables_first ? 0 : directory_bytes()));
    const Bytes directory = put_tables(false);
    const uint64_t sector = what.tables_first ? out.size() / 512 : kSector;
    put_bytes(out, sector * 512, directory);
    out.resize(128 * 512);
    put_bytes(out, out.size(), grains_part);
    return sector;
  }

  Bytes build() {
    const std::string line = what.extent_line.empty() ? "RW " + std::to_string(what.sectors) + " SPARSE \"other.vmdk\"" : what.extent_line;
    const std::string text = "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n" + line +
                             "\n#DDB\nddb.adapterType = \"lsilogic\"\n";
    // In front there is room for 25 tables and their directory.
    out.resize(128 * 512);
    if (what.progress_marker) marker(0, 4);
    put_grains();
    uint64_t directory = UINT64_MAX;
    if (what.footer) {
      const uint64_t at_end = put_directory_behind();
      marker(1, 3);
      put_bytes(out, out.size(), header(at_end));
    } else {
      directory = put_directory_in_front();
    }
    if (what.end_marker) marker(0, 0);
    put_bytes(out, 0, header(directory));
    put_text(out, 512, text);
    return out;
  }
};

}  // namespace

Bytes stream_image(const Stream& what) { return StreamBuilder{what}.build(); }

Bytes read_all(Image& image) {
  Bytes out(image.size());
  image.read_at(0, out);
  return out;
}

}  // namespace varve::test
