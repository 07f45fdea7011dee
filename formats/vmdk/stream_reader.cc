#include "vmdk/stream_reader.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/checked_math.h"
#include "base/random.h"
#include "base/zero.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kMaxProgress = 128;  // sectors behind a progress marker
constexpr uint64_t kPiece = 64 << 10;
constexpr const char* kNeedsFile = "store it in a file first";

Error cut_short() { return Error(Errc::corrupt, "the stream ends too early").hint("fetch it again"); }

uint64_t whole_sectors(uint64_t bytes) { return div_ceil(bytes, kSectorSize) * kSectorSize; }

std::vector<le32> entries_of(ConstBytes bytes, uint64_t count) {
  std::vector<le32> entries(count);
  const MutableBytes out = std::as_writable_bytes(std::span(entries));
  std::copy_n(bytes.begin(), out.size(), out.begin());
  return entries;
}

/// The descriptor may say nothing that the stream cannot.
void require_lone_stream(const Descriptor& descriptor, const SparseHeader& header) {
  const auto parent = descriptor.parent_cid();
  if (descriptor.has("parentCID") && !parent) throw Error(Errc::corrupt, "the descriptor's parentCID is no number of 8 hex digits");
  if (parent.value_or(kNoParentCid) != kNoParentCid)
    throw Error(Errc::unsupported, "a delta cannot be read from a pipe: its parent holds a part of the disk").hint(kNeedsFile);
  if (descriptor.extents().empty()) return;
  const ExtentLine& line = descriptor.extents().front();
  if (descriptor.extents().size() > 1 || line.type != ExtentType::sparse || line.access == ExtentAccess::no_access ||
      line.sectors != header.capacity_sectors)
    throw Error(Errc::unsupported, "the descriptor describes another disk than this stream alone").hint(kNeedsFile);
}

}  // namespace

VmdkStreamReader::VmdkStreamReader(std::shared_ptr<ByteSource> source, DriverContext& context)
    : source_(std::move(source)),
      limits_(context.limits()),
      header_(read_header()),
      ledger_(header_, limits_, context.random().u64()),
      decoder_(std::make_unique<GrainDecoder>(header_.grain_bytes())) {
  if (!header_.gd_at_end()) directories_[0].sector = header_.gd_sector;
  if (header_.has_redundant()) directories_[1].sector = header_.rgd_sector;
  read_front(context);
}

// ---- bytes ------------------------------------------------------------------------------------------

/// False at the end of the source; throws if it ends within `out`.
bool VmdkStreamReader::read_some(MutableBytes out) {
  size_t done = 0;
  while (done < out.size()) {
    const size_t got = source_->read(out.subspan(done));
    if (got == 0 && done == 0) return false;
    if (got == 0) throw cut_short().at(position_ + done);
    done += got;
  }
  position_ += done;
  return true;
}

void VmdkStreamReader::read_all(MutableBytes out) {
  if (!out.empty() && !read_some(out)) throw cut_short().at(position_);
}

/// Takes memory as bytes arrive.
VmdkStreamReader::Buffer VmdkStreamReader::read_bytes(uint64_t bytes) {
  Buffer out;
  while (out.size() < bytes) {
    const size_t had = out.size();
    out.resize(had + std::min<uint64_t>(kPiece, bytes - had));
    read_all(MutableBytes(out).subspan(had));
  }
  return out;
}

void VmdkStreamReader::skip(uint64_t bytes) {
  Buffer waste(std::min(bytes, kPiece));
  while (bytes > 0) {
    const uint64_t part = std::min<uint64_t>(bytes, waste.size());
    read_all(MutableBytes(waste).first(part));
    bytes -= part;
  }
}

SparseHeader VmdkStreamReader::read_header() {
  Buffer sector(kSectorSize);
  read_all(sector);
  const SparseHeader header = parse_sparse_header(sector, UINT64_MAX, limits_);
  if (!header.compressed() || !header.has_markers())
    throw Error(Errc::unsupported, "only a streamOptimized VMDK can be read from a pipe").hint(kNeedsFile);
  return header;
}

// ---- before the first grain -----------------------------------------------------------------------------

/// Descriptor, directories and tables are taken where they are known to lie; the rest is skipped.
void VmdkStreamReader::read_front(DriverContext& context) {
  const uint64_t descriptor_end = (header_.descriptor_sector + header_.descriptor_sectors) * kSectorSize;
  const uint64_t end = std::max({header_.overhead_bytes(), kSectorSize, header_.has_descriptor() ? descriptor_end : 0});
  while (position_ < end) {
    const uint64_t next = std::min(next_known(), end);
    if (next > position_)
      skip(next - position_);
    else
      read_known(context);
  }
  if (position_ != end) throw Error(Errc::corrupt, "a structure in front of the grains reaches into them").at(end);
}

/// Where the next of them begins, from here on.
uint64_t VmdkStreamReader::next_known() {
  const uint64_t sector = position_ / kSectorSize;
  uint64_t next = UINT64_MAX / kSectorSize;
  const auto consider = [&](uint64_t place) {
    if (place >= sector) next = std::min(next, place);
  };
  if (header_.has_descriptor()) consider(header_.descriptor_sector);
  for (Directory& directory : directories_) {
    if (directory.sector != 0) consider(directory.sector);
    while (directory.next < directory.entries.size() && directory.entries[directory.next] < sector) ++directory.next;
    if (directory.next < directory.entries.size()) consider(directory.entries[directory.next]);
  }
  return next * kSectorSize;
}

void VmdkStreamReader::read_known(DriverContext& context) {
  const uint64_t sector = position_ / kSectorSize;
  if (header_.has_descriptor() && sector == header_.descriptor_sector) return read_descriptor(context);
  for (Directory& directory : directories_) {
    if (directory.sector != sector) continue;
    read_directory(directory);
    if (std::any_of(directory.entries.begin(), directory.entries.end(), [&](uint32_t table) { return table != 0 && table < sector; }))
      throw Error(Errc::unsupported, "a stream whose grain tables come before their directory cannot be read from a pipe").hint(kNeedsFile);
    return;
  }
  read_table();
}

void VmdkStreamReader::read_descriptor(DriverContext& context) {
  const Buffer text = read_bytes(header_.descriptor_sectors * kSectorSize);
  descriptor_ = Descriptor::parse(text, limits_, [&](const std::string& line) { context.warn(line); });
  require_lone_stream(descriptor_, header_);
}

void VmdkStreamReader::read_directory(Directory& directory) {
  directory.sector = position_ / kSectorSize;
  directory.entries = entries_of(read_bytes(whole_sectors(header_.gd_bytes())), header_.gd_entries());
}

void VmdkStreamReader::read_table() {
  const uint64_t sector = position_ / kSectorSize;
  ledger_.add_table(sector, entries_of(read_bytes(whole_sectors(header_.gt_bytes())), header_.gtes_per_gt));
}

ImageInfo VmdkStreamReader::info() const {
  ImageInfo info;
  info.virtual_size = size();
  info.cluster_size = static_cast<uint32_t>(header_.grain_bytes());
  info.details.emplace_back("subformat", std::string("streamOptimized"));
  if (const auto cid = descriptor_.cid()) info.details.emplace_back("cid", cid_text(*cid));
  if (const auto cid = descriptor_.parent_cid()) info.details.emplace_back("parent_cid", cid_text(*cid));
  for (const auto& [key, shown] : {std::pair("ddb.adapterType", "adapter_type"), std::pair("ddb.virtualHWVersion", "hw_version")})
    if (const auto value = descriptor_.get(key)) info.details.emplace_back(shown, descriptor_.to_utf8(*value));
  info.details.emplace_back("version", uint64_t{header_.version});
  info.details.emplace_back("grain_size", header_.grain_bytes());
  info.details.emplace_back("compressed", true);
  return info;
}

// ---- grains ---------------------------------------------------------------------------------------------

std::optional<StreamReader::Piece> VmdkStreamReader::next() {
  Buffer sector(kSectorSize);
  while (!ended_) {
    if (!read_some(sector)) {
      end_without_footer(false);
      break;
    }
    if (load_marker(sector).size != 0) return read_grain(sector);
    read_metadata(sector);
  }
  return std::nullopt;
}

StreamReader::Piece VmdkStreamReader::read_grain(ConstBytes sector) {
  const GrainMarker marker = load_marker(sector);
  const uint64_t at = position_ - kSectorSize;
  const uint64_t stored = kGrainMarkerSize + marker.size;
  if (marker.lba >= header_.capacity_sectors || marker.lba % header_.grain_sectors != 0)
    throw Error(Errc::corrupt, "a marker names no grain of the disk").at(at);
  if (marker.lba < next_lba_)
    throw Error(Errc::corrupt, "the stream's grains are not in order").at(at).hint("store it in a file and convert that");
  if (stored > max_stored_grain(header_)) throw Error(Errc::corrupt, "a marker has an impossible size").at(at);
  Piece piece;
  piece.offset = marker.lba * kSectorSize;
  piece.length = std::min(header_.grain_bytes(), size() - piece.offset);
  piece.stored.resize(whole_sectors(stored));
  std::copy(sector.begin(), sector.end(), piece.stored.begin());
  read_all(MutableBytes(piece.stored).subspan(kSectorSize));
  ledger_.add_grain(marker.lba / header_.grain_sectors, at / kSectorSize);
  next_lba_ = marker.lba + header_.grain_sectors;
  return piece;
}

void VmdkStreamReader::load(const Piece& piece, MutableBytes out) const {
  const ConstBytes stored = piece.stored;
  try {
    decoder_->decode(stored.subspan(kGrainMarkerSize, load_marker(stored).size), out);
  } catch (const Error& error) {
    throw undecodable(piece.offset / header_.grain_bytes(), error);
  }
}

// ---- what stands between and behind them ------------------------------------------------------------------

/// A marker without a grain. What it says to follow is held against what can follow.
void VmdkStreamReader::read_metadata(ConstBytes sector) {
  const auto marker = varve::load<MarkerRaw>(sector);
  const uint64_t at = position_ - kSectorSize;
  if (!is_zero(sector.subspan(sizeof(MarkerRaw)))) throw Error(Errc::corrupt, "a marker is followed by something that is no grain").at(at);
  const auto require = [&](bool holds) {
    if (!holds) throw Error(Errc::corrupt, "a marker announces " + std::to_string(marker.value) + " sectors, which cannot be").at(at);
  };
  switch (static_cast<MarkerType>(uint32_t{marker.type})) {
    case MarkerType::end_of_stream: return end_without_footer(true);
    case MarkerType::footer: require(marker.value == 1); return read_footer();
    case MarkerType::progress: require(marker.value <= kMaxProgress); return skip(marker.value * kSectorSize);
    case MarkerType::grain_table: require(marker.value == div_ceil(header_.gt_bytes(), kSectorSize)); return read_table();
    case MarkerType::grain_directory:
      require(marker.value == div_ceil(header_.gd_bytes(), kSectorSize));
      // Of several the footer names the last, or the header one.
      if (header_.gd_at_end() || directories_[0].sector == position_ / kSectorSize) return read_directory(directories_[0]);
      return skip(marker.value * kSectorSize);
  }
  throw Error(Errc::corrupt, "a marker of unknown type " + std::to_string(marker.type)).at(at);
}

void VmdkStreamReader::end_without_footer(bool marked) {
  if (header_.gd_at_end()) throw cut_short().at(position_);
  finish(marked);
}

/// Nothing but the end may follow it: a reader of the file looks for it there.
void VmdkStreamReader::read_footer() {
  Buffer sector(kSectorSize);
  read_all(sector);
  const SparseHeader footer = parse_sparse_header(sector, position_, limits_);
  vmdk::require_agreement(header_, footer);
  if (header_.gd_at_end() && footer.has_redundant())
    throw Error(Errc::unsupported, "a stream with two directories behind its grains cannot be read from a pipe").hint(kNeedsFile);
  if (header_.gd_at_end() && footer.gd_sector != directories_[0].sector)
    throw Error(Errc::corrupt, "the footer names a directory that did not come by").at(position_ - kSectorSize);
  read_all(sector);
  if (!is_zero(sector)) throw Error(Errc::corrupt, "the stream goes on behind its footer").at(position_ - kSectorSize);
  finish(true);
}

/// Is this all of it? Behind the end nothing but zeros may follow: qemu-img leaves what it had cleared for the next grain.
void VmdkStreamReader::finish(bool marked) {
  ended_ = true;
  try {
    for (const Directory& directory : directories_) {
      if (directory.sector == 0) continue;
      if (directory.entries.empty()) throw Error(Errc::corrupt, "a grain directory is not where the header places it");
      ledger_.require_agreement(directory.entries);
    }
  } catch (const Error& error) {
    if (marked || error.code() != Errc::corrupt) throw;
    throw cut_short().caused_by(error.message()).at(position_);
  }
  Buffer rest(kPiece);
  while (const size_t got = source_->read(rest))
    if (!is_zero(ConstBytes(rest).first(got))) throw Error(Errc::corrupt, "data follows the end of the stream").at(position_);
}

}  // namespace varve::vmdk
