#include "vmdk/stream_extent.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>

#include "base/checked_math.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kMaxGroup = 2 << 20;   // bytes of the file read at once
constexpr uint64_t kLikelyGrowth = 4096;  // a stored grain is rarely larger than a grain and this
constexpr uint64_t kCacheBytes = 4 << 20;
constexpr int kMaxPieces = 16;

/// One extent of thousands keeps none.
size_t idle_buffers(const Limits& limits) { return static_cast<size_t>(std::min<uint64_t>(64, limits.metadata_bytes >> 20)); }

SparseHeader header_of(Storage& file, const SparseHeader& front, const Limits& limits) {
  bool ends_well = false;
  return front.gd_at_end() ? read_footer(file, front, limits, ends_well) : front;
}

/// A table that no copy of the directory places inside the file gets a place that none has, so that reading it is what fails.
TableLayout layout_of(const SparseHeader& header, const GrainDirectory& directory) {
  TableLayout layout;
  layout.grains = header.grain_count();
  layout.entries_per_table = header.gtes_per_gt;
  layout.entry_size = kGtEntrySize;
  layout.tables.reserve(directory.entries());
  for (uint64_t i = 0; i < directory.entries(); ++i) {
    const auto sector = directory.readable(i);
    layout.tables.push_back(sector ? *sector * kSectorSize : UINT64_MAX);
  }
  return layout;
}

}  // namespace

StreamExtent::StreamExtent(std::shared_ptr<Storage> file, const SparseHeader& header, const Limits& limits)
    : file_(std::move(file)),
      header_(header_of(*file_, header, limits)),
      file_size_(file_->size()),
      directory_(GrainDirectory::load(*file_, header_, limits, Copies::one)),
      tables_(file_, layout_of(header_, directory_), limits.metadata_bytes / 2),
      decoder_(header_.grain_bytes(), idle_buffers(limits)),
      buffers_([] { return std::make_unique<std::vector<std::byte>>(); }, idle_buffers(limits)),
      decoded_(std::min(kCacheBytes, limits.metadata_bytes / 4) / header_.grain_bytes()) {}

ExtentKind StreamExtent::kind_of(uint64_t entry) const {
  if (entry == 0) return ExtentKind::absent;
  return entry == 1 && header_.has_zeroed_grains() ? ExtentKind::zero : ExtentKind::data;
}

uint64_t StreamExtent::length_of(uint64_t grain) const { return std::min(header_.grain_bytes(), size() - grain * header_.grain_bytes()); }

uint64_t StreamExtent::allocated_bytes() const { return file_->allocated_bytes().value_or(file_size_); }

/// Where the grain lies, held against the file and its metadata [MEM-18, MEM-20].
uint64_t StreamExtent::checked_offset(uint64_t grain, uint64_t sector) const {
  const uint64_t offset = sector * kSectorSize;
  const char* wrong = nullptr;
  if (directory_.is_metadata(sector, 1)) wrong = " lies inside the metadata";
  if (!range_fits(offset, kGrainMarkerSize + 1, file_size_)) wrong = " lies outside the file";
  if (wrong != nullptr) throw Error(Errc::corrupt, "grain " + std::to_string(grain) + wrong).in(file_->name()).at(offset);
  return offset;
}

/// How far to read for the grain at `offset`: to the next grain where that is known, else as far as is likely enough.
uint64_t StreamExtent::end_of(uint64_t grain, uint64_t offset) {
  const uint64_t most = std::min(file_size_ - offset, max_stored_grain(header_));
  if (!header_.has_markers()) return offset + most;
  const TableCache::Piece piece = tables_.piece(grain);
  for (uint64_t next = grain + 1; next < std::min(piece.end(), grain + 64); ++next) {
    const uint64_t place = piece[next] * kSectorSize;
    if (kind_of(piece[next]) != ExtentKind::data) continue;
    if (place > offset && place - offset <= most) return place;
    break;
  }
  return offset + std::min(most, header_.grain_bytes() + kLikelyGrowth);
}

void StreamExtent::decode(const Wanted& wanted, ConstBytes bytes) {
  std::vector<std::byte> again;
  if (header_.has_markers()) {
    const GrainMarker marker = load_marker(bytes);
    const auto bad = [&](const std::string& what) {
      return Error(Errc::corrupt, "the marker of grain " + std::to_string(wanted.grain) + " " + what).in(file_->name()).at(wanted.offset);
    };
    if (marker.lba != wanted.grain * header_.grain_sectors) throw bad("belongs to sector " + std::to_string(marker.lba));
    const uint64_t stored = kGrainMarkerSize + marker.size;
    if (marker.size == 0 || stored > max_stored_grain(header_)) throw bad("has an impossible size");
    if (!range_fits(wanted.offset, stored, file_size_)) throw bad("reaches beyond the end of the file");  // MEM-9
    if (stored > bytes.size()) {
      again.resize(stored);
      file_->read_at(wanted.offset, again);
      bytes = again;
    }
    bytes = bytes.subspan(kGrainMarkerSize, marker.size);
  }
  try {
    decoder_.decode(bytes, wanted.out);
  } catch (const Error& error) {
    throw undecodable(wanted.grain, error).in(file_->name()).at(wanted.offset);
  }
}

void StreamExtent::read_group(std::span<const Wanted> group) {
  const uint64_t begin = group.front().offset;
  const uint64_t end = end_of(group.back().grain, group.back().offset);
  const auto buffer = buffers_.borrow();
  if (buffer->size() < end - begin) buffer->resize(end - begin);
  const MutableBytes bytes = MutableBytes(*buffer).first(end - begin);
  file_->read_at(begin, bytes);
  for (size_t i = 0; i < group.size(); ++i) {
    const uint64_t stop = i + 1 < group.size() && header_.has_markers() ? group[i + 1].offset : end;
    decode(group[i], bytes.subspan(group[i].offset - begin, stop - group[i].offset));
  }
}

void StreamExtent::read_whole(uint64_t first, uint64_t count, MutableBytes out) {
  std::vector<Wanted> group;
  const auto finish = [&] {
    if (!group.empty()) read_group(group);
    group.clear();
  };
  TableCache::Piece piece = tables_.piece(first);
  for (uint64_t grain = first; grain < first + count; ++grain) {
    if (grain >= piece.end()) piece = tables_.piece(grain);
    const MutableBytes part = out.subspan((grain - first) * header_.grain_bytes(), length_of(grain));
    const ExtentKind kind = kind_of(piece[grain]);
    if (kind == ExtentKind::zero) std::fill(part.begin(), part.end(), std::byte{0});
    if (kind == ExtentKind::absent) read_below(grain * header_.grain_bytes(), part);
    if (kind != ExtentKind::data) continue;
    const uint64_t offset = checked_offset(grain, piece[grain]);
    const bool fits = !group.empty() && offset > group.back().offset && offset - group.front().offset < kMaxGroup;
    if (!fits) finish();
    group.push_back({grain, offset, part});
  }
  finish();
}

void StreamExtent::read_part(uint64_t grain, uint64_t within, MutableBytes out) {
  const uint64_t entry = tables_.entry(grain);
  const ExtentKind kind = kind_of(entry);
  if (kind == ExtentKind::zero) std::fill(out.begin(), out.end(), std::byte{0});
  if (kind == ExtentKind::absent) read_below(grain * header_.grain_bytes() + within, out);
  if (kind != ExtentKind::data) return;
  GrainCache::Grain cached = decoded_.find(grain);
  if (!cached) {
    auto grain_bytes = std::make_shared<std::vector<std::byte>>(length_of(grain));
    const Wanted wanted{grain, checked_offset(grain, entry), *grain_bytes};
    read_group({&wanted, 1});
    cached = std::move(grain_bytes);
    decoded_.add(grain, cached);
  }
  std::memcpy(out.data(), cached->data() + within, out.size());
}

void StreamExtent::read_at(uint64_t offset, MutableBytes out) {
  const uint64_t grain_bytes = header_.grain_bytes();
  while (!out.empty()) {
    const uint64_t grain = offset / grain_bytes;
    const uint64_t within = offset % grain_bytes;
    uint64_t done = std::min<uint64_t>(out.size(), length_of(grain) - within);
    if (done < length_of(grain)) {
      read_part(grain, within, out.first(done));
    } else {
      // Whole grains; the last of the disk may be short and still be whole.
      const bool to_the_end = offset + out.size() == size();
      const uint64_t count = to_the_end ? div_ceil(out.size(), grain_bytes) : out.size() / grain_bytes;
      done = std::min<uint64_t>(out.size(), count * grain_bytes);
      read_whole(grain, count, out.first(done));
    }
    offset += done;
    out = out.subspan(done);
  }
}

Extent StreamExtent::extent_at(uint64_t offset, uint64_t limit) {
  const uint64_t grain_bytes = header_.grain_bytes();
  uint64_t grain = offset / grain_bytes;
  TableCache::Piece piece = tables_.piece(grain);
  Extent out;
  out.offset = offset;
  out.kind = kind_of(piece[grain]);
  out.compressed = out.kind == ExtentKind::data;
  const uint64_t end = offset + std::min(limit, size() - offset);
  for (int pieces = 1; (++grain) * grain_bytes < end;) {
    if (grain >= piece.end()) {
      if (++pieces > kMaxPieces) break;
      piece = tables_.piece(grain);
    }
    if (!piece.entries && out.kind == ExtentKind::absent)
      grain = piece.end() - 1;
    else if (kind_of(piece[grain]) != out.kind)
      break;
  }
  out.length = std::min(grain * grain_bytes, end) - offset;
  return out;
}

}  // namespace varve::vmdk
