#include "hostile/vmdk_builder.h"

#include <zlib.h>

#include <cstring>
#include <stdexcept>

#include "support/pattern.h"

namespace varve::test {

void put(Bytes& bytes, uint64_t offset, ConstBytes data) {
  if (bytes.size() < offset + data.size()) bytes.resize(static_cast<size_t>(offset + data.size()));
  std::memcpy(bytes.data() + offset, data.data(), data.size());
}

void put32(Bytes& bytes, uint64_t offset, uint32_t value) { put(bytes, offset, bytes_of(le32(value))); }

void put64(Bytes& bytes, uint64_t offset, uint64_t value) { put(bytes, offset, bytes_of(le64(value))); }

Bytes bytes_of_text(const std::string& text) {
  const auto all = std::as_bytes(std::span(text));
  return {all.begin(), all.end()};
}

Bytes zlib(ConstBytes data) {
  uLongf size = compressBound(data.size());
  Bytes out(size);
  if (compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(data.data()), data.size(), 6) != Z_OK)
    throw std::runtime_error("zlib failed");
  out.resize(size);
  return out;
}

std::string descriptor_text(const std::string& create_type, const std::string& extents, const std::string& more) {
  return "# Disk DescriptorFile\nversion=1\nencoding=\"UTF-8\"\nCID=12345678\nparentCID=ffffffff\ncreateType=\"" + create_type +
         "\"\n\n# Extent description\n" + extents + "\n\n#DDB\nddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"4\"\n" +
         "ddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\nddb.adapterType = \"ide\"\n" + more;
}

SparseImage::SparseImage(uint64_t grains, uint64_t allocated) : header{} {
  const uint64_t sectors = grains * (kGrain / 512);
  header.magic = vmdk::kSparseMagic;
  header.version = 1;
  header.flags = vmdk::kFlagNewlineTest | vmdk::kFlagRedundantTables;
  header.capacity = sectors;
  header.grain_size = kGrain / 512;
  header.descriptor_offset = 1;
  header.descriptor_size = 20;
  header.num_gtes_per_gt = 512;
  header.rgd_offset = kRgdAt / 512;
  header.gd_offset = kGdAt / 512;
  header.overhead = kFirstGrain / 512;
  header.newlines = vmdk::kNewlines;
  descriptor = descriptor_text("monolithicSparse", "RW " + std::to_string(sectors) + " SPARSE \"disk.vmdk\"");
  bytes.resize(kFirstGrain);
  put32(bytes, kRgdAt, kRgtAt / 512);
  put32(bytes, kGdAt, kGtAt / 512);
  for (uint64_t i = 0; i < allocated; ++i) {
    set_entry(i, static_cast<uint32_t>((kFirstGrain + i * kGrain) / 512));
    put(bytes, kFirstGrain + i * kGrain, pattern(i * kGrain, 1, kGrain));
  }
}

void SparseImage::set_entry_of(uint64_t table_at, uint64_t index, uint32_t value) { put32(bytes, table_at + index * 4, value); }

void SparseImage::set_entry(uint64_t index, uint32_t value) {
  set_entry_of(kRgtAt, index, value);
  set_entry_of(kGtAt, index, value);
}

Bytes SparseImage::finish() {
  put(bytes, 0, bytes_of(header));
  put(bytes, kDescriptorAt, bytes_of_text(descriptor));
  return bytes;
}

namespace {

void pad(Bytes& bytes) { bytes.resize((bytes.size() + 511) / 512 * 512); }

void metadata_marker(Bytes& bytes, uint64_t sectors, vmdk::MarkerType type) {
  vmdk::MarkerRaw marker{};
  marker.value = sectors;
  marker.type = static_cast<uint32_t>(type);
  put(bytes, bytes.size(), bytes_of(marker));
  pad(bytes);
}

vmdk::SparseHeaderRaw stream_header(uint64_t sectors) {
  vmdk::SparseHeaderRaw header{};
  header.magic = vmdk::kSparseMagic;
  header.version = 3;
  header.flags = vmdk::kFlagNewlineTest | vmdk::kFlagCompressed | vmdk::kFlagMarkers;
  header.capacity = sectors;
  header.grain_size = StreamImage::kGrain / 512;
  header.descriptor_offset = 1;
  header.descriptor_size = 20;
  header.num_gtes_per_gt = 512;
  header.gd_offset = vmdk::kGdAtEnd;
  header.overhead = 128;
  header.newlines = vmdk::kNewlines;
  header.compress_algorithm = 1;
  return header;
}

}  // namespace

StreamImage::StreamImage(uint64_t grains) {
  const uint64_t sectors = grains * (kGrain / 512);
  vmdk::SparseHeaderRaw header = stream_header(sectors);
  put(bytes, 0, bytes_of(header));
  put(bytes, 512, bytes_of_text(descriptor_text("streamOptimized", "RW " + std::to_string(sectors) + " SPARSE \"disk.vmdk\"")));
  bytes.resize(128 * 512);
  Bytes table(2048);
  for (uint64_t i = 0; i < grains; ++i) {
    grains_at_.push_back(bytes.size());
    put32(table, i * 4, static_cast<uint32_t>(bytes.size() / 512));
    const Bytes packed = zlib(pattern(i * kGrain, 2, kGrain));
    const uint64_t at = bytes.size();
    put64(bytes, at, i * (kGrain / 512));
    put32(bytes, at + 8, static_cast<uint32_t>(packed.size()));
    put(bytes, at + 12, packed);
    pad(bytes);
  }
  table_marker_at = bytes.size();
  metadata_marker(bytes, 4, vmdk::MarkerType::grain_table);
  const uint64_t table_at = bytes.size();
  put(bytes, table_at, table);
  directory_marker_at = bytes.size();
  metadata_marker(bytes, 1, vmdk::MarkerType::grain_directory);
  header.gd_offset = bytes.size() / 512;
  put32(bytes, bytes.size(), static_cast<uint32_t>(table_at / 512));
  pad(bytes);
  metadata_marker(bytes, 1, vmdk::MarkerType::footer);
  put(bytes, bytes.size(), bytes_of(header));
  metadata_marker(bytes, 0, vmdk::MarkerType::end_of_stream);
}

vmdk::SparseHeaderRaw StreamImage::header_at(uint64_t offset) const {
  return load<vmdk::SparseHeaderRaw>(bytes, static_cast<size_t>(offset));
}

void StreamImage::put_header(uint64_t offset, const vmdk::SparseHeaderRaw& header) { put(bytes, offset, bytes_of(header)); }

}  // namespace varve::test
