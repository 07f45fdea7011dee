// Mutations that know a stream. The input is taken apart into its grains, these are changed, and a whole stream is made of them again, with
// tables, directory and footer that fit; then, mostly, one of its fields is given a value that doesn't.
#include <algorithm>
#include <array>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "codec/deflate.h"
#include "vmdk/structures.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace varve::fuzz {
namespace {

using Bytes = std::vector<uint8_t>;
using vmdk::MarkerType;
using vmdk::SparseHeaderRaw;

constexpr size_t kSector = vmdk::kSectorSize;
constexpr size_t kMaxGrains = 40;
constexpr uint64_t kMaxTables = 32;

uint64_t get(const Bytes& bytes, size_t at, size_t width) {
  uint64_t value = 0;
  for (size_t i = 0; i < width && at + i < bytes.size(); ++i) value |= uint64_t{bytes[at + i]} << (8 * i);
  return value;
}

void put(Bytes& bytes, size_t at, size_t width, uint64_t value) {
  for (size_t i = 0; i < width && at + i < bytes.size(); ++i) bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

struct Grain {
  uint64_t number = 0;
  Bytes stored;
};

struct Shape {
  uint64_t capacity = 2048;  // sectors
  uint64_t grain_sectors = 8;
  uint64_t gtes = 16;
  bool footer = true;
  bool redundant = false;
  bool zeroed = false;
  bool marked_end = true;
};

bool is_power_up_to(uint64_t value, uint64_t most) { return value != 0 && value <= most && (value & (value - 1)) == 0; }

Shape shape_of(const Bytes& bytes) {
  Shape shape;
  const uint64_t flags = get(bytes, 8, 4);
  if (const uint64_t v = get(bytes, 12, 8); v != 0 && v < 1 << 16) shape.capacity = v;
  if (const uint64_t v = get(bytes, 20, 8); is_power_up_to(v, 128)) shape.grain_sectors = v;
  if (const uint64_t v = get(bytes, 44, 4); is_power_up_to(v, 512)) shape.gtes = v;
  shape.footer = get(bytes, 56, 8) == vmdk::kGdAtEnd;
  shape.redundant = (flags & vmdk::kFlagRedundantTables) != 0 && !shape.footer;
  shape.zeroed = (flags & vmdk::kFlagZeroedGrain) != 0;
  shape.marked_end = bytes.size() < kSector || get(bytes, bytes.size() - kSector, 8) == 0;
  return shape;
}

std::vector<Grain> grains_of(const Bytes& bytes, const Shape& shape) {
  std::vector<Grain> grains;
  size_t at = std::max<uint64_t>(get(bytes, 64, 8), 1) * kSector;
  while (at < bytes.size() && bytes.size() - at >= kSector && grains.size() < kMaxGrains) {
    const uint64_t value = get(bytes, at, 8);
    const uint64_t size = get(bytes, at + 8, 4);
    if (size == 0) {
      const uint64_t sectors = std::min<uint64_t>(value, 64);
      at += kSector * (1 + sectors);
      continue;
    }
    const size_t end = std::min<size_t>(bytes.size(), at + vmdk::kGrainMarkerSize + size);
    grains.push_back({value / shape.grain_sectors, Bytes(bytes.begin() + static_cast<std::ptrdiff_t>(at + vmdk::kGrainMarkerSize),
                                                         bytes.begin() + static_cast<std::ptrdiff_t>(end))});
    at += (end - at + kSector - 1) / kSector * kSector;
  }
  return grains;
}

/// Puts a stream together, and notes where its numbers are.
class Builder {
 public:
  Builder(const Shape& shape, const std::vector<Grain>& grains) : shape_(shape), grains_(grains) {
    tables_ = (shape.capacity + shape.grain_sectors * shape.gtes - 1) / (shape.grain_sectors * shape.gtes);
    entries_.resize(tables_ * shape.gtes);
  }

  Bytes build() {
    begin();
    for (const Grain& grain : grains_) add_grain(grain);
    if (shape_.footer) add_tables_behind();
    if (shape_.marked_end) add_marker(0, MarkerType::end_of_stream);
    if (!shape_.footer) fill_tables_in_front();
    add_header(0, shape_.footer ? vmdk::kGdAtEnd : gd_sector_);
    return std::move(out_);
  }

  struct Field {
    size_t at;
    size_t width;
  };
  const std::vector<Field>& fields() const { return fields_; }

 private:
  size_t sector() const { return out_.size() / kSector; }
  size_t sectors_of(size_t bytes) const { return (bytes + kSector - 1) / kSector; }
  size_t table_sectors() const { return sectors_of(shape_.gtes * 4); }
  size_t directory_sectors() const { return sectors_of(tables_ * 4); }
  void grow(size_t sectors) { out_.resize(out_.size() + sectors * kSector); }

  void begin() {
    const std::string text = "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\nRW " +
                             std::to_string(shape_.capacity) + " SPARSE \"a.vmdk\"\n";
    out_.resize(kSector);
    out_.insert(out_.end(), text.begin(), text.end());
    out_.resize(2 * kSector);
    if (shape_.footer) return;
    if (shape_.redundant) reserve(rgd_sector_);
    reserve(gd_sector_);
  }
  void reserve(size_t& directory) {
    directory = sector();
    grow(directory_sectors() + tables_ * table_sectors());
  }

  void add_marker(uint64_t value, MarkerType type) {
    const size_t at = out_.size();
    grow(1);
    put(out_, at, 8, value);
    put(out_, at + 12, 4, static_cast<uint32_t>(type));
    fields_.insert(fields_.end(), {{at, 8}, {at + 8, 4}, {at + 12, 4}});
  }

  void add_grain(const Grain& grain) {
    const size_t at = out_.size();
    if (grain.number < entries_.size()) entries_[grain.number] = static_cast<uint32_t>(sector());
    grow(sectors_of(vmdk::kGrainMarkerSize + grain.stored.size()));
    put(out_, at, 8, grain.number * shape_.grain_sectors);
    put(out_, at + 8, 4, grain.stored.size());
    std::copy(grain.stored.begin(), grain.stored.end(), out_.begin() + static_cast<std::ptrdiff_t>(at + vmdk::kGrainMarkerSize));
    fields_.insert(fields_.end(), {{at, 8}, {at + 8, 4}});
  }

  void put_table(size_t at, size_t table) {
    for (size_t i = 0; i < shape_.gtes; ++i) {
      const size_t entry = table * shape_.gtes + i;
      put(out_, at + i * 4, 4, entries_[entry] == 0 && shape_.zeroed && entry % 3 == 0 ? 1 : entries_[entry]);
      fields_.push_back({at + i * 4, 4});
    }
  }

  void add_tables_behind() {
    std::vector<size_t> places;
    for (size_t table = 0; table < tables_; ++table) {
      add_marker(table_sectors(), MarkerType::grain_table);
      places.push_back(sector());
      grow(table_sectors());
      put_table(places.back() * kSector, table);
    }
    add_marker(directory_sectors(), MarkerType::grain_directory);
    gd_sector_ = sector();
    grow(directory_sectors());
    for (size_t table = 0; table < tables_; ++table) put_directory_entry(gd_sector_, table, places[table]);
    add_marker(1, MarkerType::footer);
    const size_t at = out_.size();
    grow(1);
    add_header(at, gd_sector_);
  }

  void fill_tables_in_front() {
    for (const size_t directory : {rgd_sector_, gd_sector_}) {
      if (directory == 0) continue;
      for (size_t table = 0; table < tables_; ++table) {
        const size_t place = directory + directory_sectors() + table * table_sectors();
        put_directory_entry(directory, table, place);
        put_table(place * kSector, table);
      }
    }
  }
  void put_directory_entry(size_t directory, size_t table, size_t place) {
    put(out_, directory * kSector + table * 4, 4, place);
    fields_.push_back({directory * kSector + table * 4, 4});
  }

  void add_header(size_t at, uint64_t gd) {
    const size_t front = shape_.footer ? 2 : gd_sector_ + directory_sectors() + tables_ * table_sectors();
    put(out_, at, 4, vmdk::kSparseMagic);
    put(out_, at + 4, 4, 3);
    put(out_, at + 8, 4, 0x30001U | (shape_.redundant ? 2U : 0U) | (shape_.zeroed ? 4U : 0U));
    const std::array<uint64_t, 4> places = {shape_.capacity, shape_.grain_sectors, 1, 1};
    for (size_t i = 0; i < places.size(); ++i) put(out_, at + 12 + i * 8, 8, places[i]);
    put(out_, at + 44, 4, shape_.gtes);
    put(out_, at + 48, 8, rgd_sector_);
    put(out_, at + 56, 8, gd);
    put(out_, at + 64, 8, front);
    std::copy(vmdk::kNewlines.begin(), vmdk::kNewlines.end(), out_.begin() + static_cast<std::ptrdiff_t>(at + 73));
    put(out_, at + 77, 2, 1);
    for (const size_t field : {4, 8, 44}) fields_.push_back({at + field, 4});
    for (const size_t field : {12, 20, 28, 36, 48, 56, 64}) fields_.push_back({at + field, 8});
  }

  const Shape shape_;
  const std::vector<Grain>& grains_;
  size_t tables_ = 0;
  size_t rgd_sector_ = 0;
  size_t gd_sector_ = 0;
  std::vector<uint32_t> entries_;
  Bytes out_;
  std::vector<Field> fields_;
};

class Mutation {
 public:
  explicit Mutation(unsigned seed) : random_(seed) {}

  uint32_t below(uint64_t bound) { return static_cast<uint32_t>(random_() % std::max<uint64_t>(bound, 1)); }

  void change(Shape& shape) {
    switch (below(8)) {
      case 0: shape.capacity = 1 + below(4096); break;
      case 1: shape.grain_sectors = uint64_t{1} << below(6); break;
      case 2: shape.gtes = uint64_t{1} << below(10); break;
      case 3: shape.footer = !shape.footer; break;
      case 4: shape.redundant = !shape.redundant; break;
      case 5: shape.zeroed = !shape.zeroed; break;
      case 6: shape.marked_end = !shape.marked_end; break;
      default: break;
    }
    if (shape.footer) shape.redundant = false;
    shape.capacity = std::min(shape.capacity, kMaxTables * shape.gtes * shape.grain_sectors);
  }

  void change(std::vector<Grain>& grains, const Shape& shape) {
    const uint64_t count = (shape.capacity + shape.grain_sectors - 1) / shape.grain_sectors;
    if (grains.size() < kMaxGrains && (grains.empty() || below(3) == 0)) grains.push_back({below(count), fresh(shape)});
    Grain& grain = grains[below(grains.size())];
    switch (below(5)) {
      case 0: grain.number = below(count + 2); break;
      case 1: grain.stored = fresh(shape); break;
      case 2: grain.stored = grains[below(grains.size())].stored; break;
      case 3: mutate_bytes(grain.stored); break;
      default: std::swap(grain, grains.back()), grains.pop_back(); break;
    }
    if (below(8) != 0) std::stable_sort(grains.begin(), grains.end(), [](const Grain& a, const Grain& b) { return a.number < b.number; });
  }

  /// Most streams get one wrong number.
  void spoil(Bytes& bytes, const std::vector<Builder::Field>& fields) {
    if (below(4) == 0 || fields.empty()) return;
    const Builder::Field& field = fields[below(fields.size())];
    const std::array<uint64_t, 8> values = {0,
                                            1,
                                            2,
                                            below(bytes.size() / kSector + 3),
                                            uint64_t{1} << below(64),
                                            UINT64_MAX,
                                            get(bytes, field.at, field.width) + 1,
                                            get(bytes, field.at, field.width) - 1};
    put(bytes, field.at, field.width, values[below(values.size())]);
  }

 private:
  Bytes fresh(const Shape& shape) {
    // Sometimes a little too long or too short.
    const size_t length = shape.grain_sectors * kSector - 4 + (below(8) == 0 ? below(9) : 4);
    std::vector<std::byte> data(length, static_cast<std::byte>(below(256)));
    for (unsigned i = below(50); i > 0; --i) data[below(length)] = static_cast<std::byte>(below(256));
    std::vector<std::byte> packed(Deflater::bound(length));
    packed.resize(Deflater(1).compress(data, packed));
    Bytes out(packed.size());
    std::memcpy(out.data(), packed.data(), packed.size());
    return out;
  }
  static void mutate_bytes(Bytes& bytes) {
    const size_t size = bytes.size();
    bytes.resize(size + 64);
    bytes.resize(LLVMFuzzerMutate(bytes.data(), size, bytes.size()));
  }

  std::minstd_rand random_;
};

size_t mutate(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  Mutation mutation(seed);
  if (mutation.below(6) == 0) return LLVMFuzzerMutate(data, size, max_size);
  const Bytes input(data, data + size);
  Shape shape = shape_of(input);
  std::vector<Grain> grains = grains_of(input, shape);
  mutation.change(shape);
  for (unsigned i = mutation.below(3); i > 0; --i) mutation.change(grains, shape);
  Builder builder(shape, grains);
  Bytes output = builder.build();
  mutation.spoil(output, builder.fields());
  const size_t length = std::min(output.size(), max_size);
  std::memcpy(data, output.data(), length);
  return length;
}

}  // namespace
}  // namespace varve::fuzz

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned seed) {
  return varve::fuzz::mutate(data, size, max_size, seed);
}
