#include "vmdk/stream_writer.h"

#include <algorithm>
#include <utility>

#include "base/checked_math.h"
#include "base/zero.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

/// Compressed grains of one run of the disk, as they will lie in the file.
struct StreamPiece final : BulkPiece {
  struct Grain {
    uint64_t number = 0;
    uint64_t sectors = 0;
  };
  /// What belongs to one grain table.
  struct Section {
    std::vector<Grain> grains;
    std::vector<std::byte> stored;
    std::vector<std::byte> before;  ///< a table that comes first, from place()
    uint64_t file_offset = 0;       ///< of `before`
  };
  uint64_t end = 0;  ///< in the disk
  std::vector<Section> sections;
};

[[noreturn]] void throw_only_bulk() {
  throw Error(Errc::unsupported, "a streamOptimized VMDK is written once, from front to back")
      .hint("convert into it, or choose another subformat");
}

void pad_to_sector(std::vector<std::byte>& bytes) { bytes.resize(align_up(bytes.size(), kSectorSize)); }

void append(std::vector<std::byte>& out, ConstBytes bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

void append_marker(std::vector<std::byte>& out, MarkerType type, uint64_t sectors) {
  MarkerRaw marker{};
  marker.value = sectors;
  marker.type = static_cast<uint32_t>(type);
  append(out, bytes_of(marker));
  pad_to_sector(out);
}

SparseHeader stream_header(const StreamParameters& parameters) {
  SparseHeader h;
  h.version = 3;  // ESXi takes no lower one
  h.flags = kFlagNewlineTest | kFlagCompressed | kFlagMarkers;
  h.capacity_sectors = parameters.size / kSectorSize;
  h.grain_sectors = parameters.grain_sectors;
  h.descriptor_sector = 1;
  h.descriptor_sectors = parameters.descriptor_sectors;
  h.gd_sector = kGdAtEnd;
  h.overhead_sectors = kStreamOverheadSectors;
  return h;
}

/// A grain behind its marker, padded to whole sectors; appended to `out`.
uint64_t append_grain(std::vector<std::byte>& out, uint64_t lba, ConstBytes grain, Deflater& deflater) {
  const size_t begin = out.size();
  const size_t bound = Deflater::bound(grain.size());
  out.resize(begin + kGrainMarkerSize + bound);
  const size_t size = deflater.compress(grain, MutableBytes(out).subspan(begin + kGrainMarkerSize, bound));
  MarkerRaw marker{};
  marker.value = lba;
  marker.size = checked_narrow<uint32_t>(size);
  const auto raw = bytes_of(marker).first<kGrainMarkerSize>();
  std::copy(raw.begin(), raw.end(), out.begin() + static_cast<std::ptrdiff_t>(begin));
  out.resize(begin + kGrainMarkerSize + size);
  pad_to_sector(out);
  return (out.size() - begin) / kSectorSize;
}

}  // namespace

StreamWriter::StreamWriter(std::shared_ptr<Storage> file, StreamParameters parameters)
    : file_(std::move(file)),
      parameters_(std::move(parameters)),
      header_(stream_header(parameters_)),
      deflaters_([level = parameters_.level] { return std::make_unique<Deflater>(level); }),
      entries_(header_.gtes_per_gt),
      directory_(header_.gd_entries()) {
  if (header_.gd_entries() > kMaxDirectoryEntries) throw Error(Errc::limit, "the disk is too large for grains of this size");
  if (parameters_.append_only) file_->write_at(0, front());
}

/// Header and descriptor, up to the first grain.
std::vector<std::byte> StreamWriter::front() const {
  std::vector<std::byte> out;
  append(out, bytes_of(vmdk::encode(header_)));
  append(out, std::as_bytes(std::span(parameters_.descriptor)));
  out.resize(kStreamOverheadSectors * kSectorSize);
  return out;
}

void StreamWriter::read_at(uint64_t offset, MutableBytes out) {
  if (offset < placed_end_.load(std::memory_order_relaxed)) throw_only_bulk();
  std::fill(out.begin(), out.end(), std::byte{0});
}

void StreamWriter::write_at(uint64_t /*offset*/, ConstBytes /*data*/) { throw_only_bulk(); }

bool StreamWriter::zero(uint64_t offset, uint64_t /*length*/) { return offset >= placed_end_.load(std::memory_order_relaxed); }

Extent StreamWriter::extent_at(uint64_t offset, uint64_t limit) {
  if (offset < placed_end_.load(std::memory_order_relaxed)) throw_only_bulk();
  Extent extent;
  extent.offset = offset;
  extent.length = limit;
  return extent;
}

// ---- grains ------------------------------------------------------------------------------------------

uint64_t StreamWriter::unit() const { return header_.grain_bytes(); }

std::unique_ptr<BulkPiece> StreamWriter::encode(uint64_t offset, ConstBytes data) {
  auto piece = std::make_unique<StreamPiece>();
  piece->end = offset + data.size();
  const uint64_t grain_bytes = header_.grain_bytes();
  const auto deflater = deflaters_.borrow();
  for (uint64_t at = 0; at < data.size(); at += grain_bytes) {
    ConstBytes grain = data.subspan(at, std::min<uint64_t>(grain_bytes, data.size() - at));
    if (is_zero(grain)) continue;
    std::vector<std::byte> padded;
    if (grain.size() < grain_bytes) {
      // Readers expect every grain to inflate to the full size, also the last of a disk.
      padded.assign(grain.begin(), grain.end());
      padded.resize(grain_bytes);
      grain = padded;
    }
    const uint64_t number = (offset + at) / grain_bytes;
    if (piece->sections.empty() || piece->sections.back().grains.back().number / header_.gtes_per_gt != number / header_.gtes_per_gt)
      piece->sections.emplace_back().stored.reserve((data.size() - at) / 2);
    StreamPiece::Section& section = piece->sections.back();
    section.grains.push_back({number, append_grain(section.stored, (offset + at) / kSectorSize, grain, *deflater)});
  }
  return piece;
}

void StreamWriter::place(BulkPiece& piece) {
  auto& p = static_cast<StreamPiece&>(piece);
  placed_end_.store(std::max(p.end, placed_end_.load(std::memory_order_relaxed)), std::memory_order_relaxed);
  for (StreamPiece::Section& section : p.sections) {
    section.file_offset = next_sector_ * kSectorSize;
    begin_table(section.grains.front().number / header_.gtes_per_gt, section.before);
    for (const StreamPiece::Grain& grain : section.grains) entries_[grain.number % header_.gtes_per_gt] = take_sectors(grain.sectors);
    table_used_ = true;
  }
  // A pipe takes bytes in the order in which they are placed.
  if (parameters_.append_only) write_sections(p);
}

void StreamWriter::store(BulkPiece& piece) {
  if (!parameters_.append_only) write_sections(piece);
}

void StreamWriter::write_sections(const BulkPiece& piece) {
  for (const StreamPiece::Section& section : static_cast<const StreamPiece&>(piece).sections) {
    if (!section.before.empty()) file_->write_at(section.file_offset, section.before);
    file_->write_at(section.file_offset + section.before.size(), section.stored);
  }
}

uint32_t StreamWriter::take_sectors(uint64_t sectors) {
  const uint64_t sector = next_sector_;
  next_sector_ += sectors;
  if (next_sector_ > UINT32_MAX) throw Error(Errc::limit, "a streamOptimized VMDK ends short of 2 TiB of compressed data");
  return static_cast<uint32_t>(sector);
}

// ---- tables and end ------------------------------------------------------------------------------------

void StreamWriter::begin_table(uint64_t table, std::vector<std::byte>& out) {
  if (table == table_) return;
  if (table_used_) {
    const ConstBytes bytes = std::as_bytes(std::span(entries_));
    const uint64_t sectors = div_ceil(bytes.size(), kSectorSize);
    append_marker(out, MarkerType::grain_table, sectors);
    append(out, bytes);
    pad_to_sector(out);
    directory_[table_] = take_sectors(1 + sectors) + 1;
    std::fill(entries_.begin(), entries_.end(), le32(0));
    table_used_ = false;
  }
  table_ = table;
}

/// What stands behind the last grain.
void StreamWriter::append_end(std::vector<std::byte>& out) {
  begin_table(UINT64_MAX, out);
  const ConstBytes directory = std::as_bytes(std::span(directory_));
  const uint64_t sectors = div_ceil(directory.size(), kSectorSize);
  append_marker(out, MarkerType::grain_directory, sectors);
  append(out, directory);
  pad_to_sector(out);
  SparseHeader footer = header_;
  footer.gd_sector = take_sectors(1 + sectors) + 1;
  append_marker(out, MarkerType::footer, 1);
  append(out, bytes_of(vmdk::encode(footer)));
  append_marker(out, MarkerType::end_of_stream, 0);
  take_sectors(3);
}

void StreamWriter::close() {
  if (closed_) return;
  const uint64_t offset = next_sector_ * kSectorSize;
  std::vector<std::byte> end;
  append_end(end);
  file_->write_at(offset, end);
  // Last: a file without a header is no image. Whoever publishes it flushes.
  if (!parameters_.append_only) file_->write_at(0, front());
  closed_ = true;
}

}  // namespace varve::vmdk
