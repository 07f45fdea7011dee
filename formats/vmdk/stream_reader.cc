#include "vmdk/stream_reader.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/checked_math.h"
#include "base/zero.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kMaxProgress = 128;  // sectors behind a progress marker

Error cut_short() { return Error(Errc::corrupt, "the stream ends too early").hint("fetch it again"); }

}  // namespace

VmdkStreamReader::VmdkStreamReader(std::shared_ptr<ByteSource> source, DriverContext& context)
    : source_(std::move(source)), limits_(context.limits()), name_(context.path()) {
  Sector sector(kSectorSize);
  read_all(sector);
  header_ = parse_sparse_header(sector, UINT64_MAX, limits_);
  if (!header_.compressed() || !header_.has_markers())
    throw Error(Errc::unsupported, "only a streamOptimized VMDK can be read from a pipe").hint("store it in a file first");
  read_front(limits_);
  decoder_ = std::make_unique<GrainDecoder>(header_.grain_bytes());
}

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

void VmdkStreamReader::skip(uint64_t bytes) {
  Sector waste(std::min<uint64_t>(bytes, uint64_t{64} << 10));
  while (bytes > 0) {
    const uint64_t part = std::min<uint64_t>(bytes, waste.size());
    read_all(MutableBytes(waste).first(part));
    bytes -= part;
  }
}

/// Everything before the first grain: the descriptor and perhaps the directory.
void VmdkStreamReader::read_front(const Limits& limits) {
  const uint64_t descriptor_end =
      header_.has_descriptor() ? (header_.descriptor_sector + header_.descriptor_sectors) * kSectorSize : kSectorSize;
  const uint64_t end = std::max(header_.overhead_bytes(), descriptor_end);
  if (end > limits.metadata_bytes) throw Error(Errc::limit, "the stream's metadata exceeds the limit");
  Sector front(end);
  read_all(MutableBytes(front).subspan(kSectorSize));
  if (header_.has_descriptor())
    descriptor_ = Descriptor::parse(
        ConstBytes(front).subspan(header_.descriptor_sector * kSectorSize, header_.descriptor_sectors * kSectorSize), limits);
  if (descriptor_.extents().size() > 1) throw Error(Errc::unsupported, "a disk of several files cannot be read from a pipe");
  if (!header_.gd_at_end()) count_named_grains(front);
}

void VmdkStreamReader::count_named_grains(ConstBytes front) {
  if (!range_fits(header_.gd_sector * kSectorSize, header_.gd_bytes(), front.size())) return;
  const uint64_t least = header_.has_zeroed_grains() ? 2 : 1;
  uint64_t named = 0;
  for (uint64_t i = 0; i < header_.gd_entries(); ++i) {
    const uint64_t table = varve::load<le32>(front, header_.gd_sector * kSectorSize + i * kGtEntrySize) * kSectorSize;
    if (table == 0) continue;
    if (!range_fits(table, header_.gt_bytes(), front.size())) return;
    for (uint64_t k = 0; k < header_.gtes_per_gt; ++k) named += varve::load<le32>(front, table + k * kGtEntrySize) >= least ? 1 : 0;
  }
  named_grains_ = named;
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

std::optional<StreamReader::Piece> VmdkStreamReader::next() {
  Sector sector(kSectorSize);
  while (!ended_) {
    if (!read_some(sector)) {
      finish(false);
      break;
    }
    if (load_marker(sector).size != 0) return read_grain(sector);
    skip_metadata(sector);
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
  piece.stored.resize(align_up(stored, kSectorSize));
  std::copy(sector.begin(), sector.end(), piece.stored.begin());
  read_all(MutableBytes(piece.stored).subspan(kSectorSize));
  next_lba_ = marker.lba + header_.grain_sectors;
  ++grains_;
  return piece;
}

void VmdkStreamReader::load(const Piece& piece, MutableBytes out) const {
  const ConstBytes stored = piece.stored;
  decoder_->decode(stored.subspan(kGrainMarkerSize, load_marker(stored).size), out);
}

/// A marker without a grain. Where it says how much follows, that is held against what can follow.
void VmdkStreamReader::skip_metadata(ConstBytes sector) {
  const auto marker = varve::load<MarkerRaw>(sector);
  const uint64_t at = position_ - kSectorSize;
  const auto bounded = [&](uint64_t most) {
    if (marker.value > most) throw Error(Errc::corrupt, "a marker announces more than can follow").at(at);
    skip(marker.value * kSectorSize);
  };
  switch (static_cast<MarkerType>(uint32_t{marker.type})) {
    case MarkerType::end_of_stream: return finish(true);
    case MarkerType::grain_table: return bounded(div_ceil(header_.gt_bytes(), kSectorSize));
    case MarkerType::grain_directory: return bounded(div_ceil(header_.gd_bytes(), kSectorSize));
    case MarkerType::footer: return read_footer(sector);
    case MarkerType::progress: return bounded(kMaxProgress);
  }
  throw Error(Errc::corrupt, "a marker of unknown type " + std::to_string(marker.type)).at(at);
}

void VmdkStreamReader::read_footer(ConstBytes marker) {
  if (varve::load<MarkerRaw>(marker).value != 1 || footer_seen_)
    throw Error(Errc::corrupt, "a footer marker that makes no sense").at(position_ - kSectorSize);
  Sector sector(kSectorSize);
  read_all(sector);
  require_agreement(header_, parse_sparse_header(sector, position_, limits_));
  footer_seen_ = true;
}

/// Is this all of it? Behind the end nothing but zeros may follow: qemu-img leaves what it had cleared for the next grain.
void VmdkStreamReader::finish(bool marked) {
  ended_ = true;
  const bool complete = header_.gd_at_end() ? marked && footer_seen_ : marked || named_grains_;
  if (!complete) throw cut_short().at(position_);
  if (named_grains_ && *named_grains_ != grains_)
    throw Error(Errc::corrupt,
                "the stream holds " + std::to_string(grains_) + " grains, its directory names " + std::to_string(*named_grains_))
        .at(position_);
  Sector rest(kSectorSize);
  while (const size_t got = source_->read(rest))
    if (!is_zero(ConstBytes(rest).first(got))) throw Error(Errc::corrupt, "data follows the end of the stream").at(position_);
}

}  // namespace varve::vmdk
