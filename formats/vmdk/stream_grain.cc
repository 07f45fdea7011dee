#include "vmdk/stream_grain.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "base/zero.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kGrainSlack = 4096;

/// Where the footer lies, counted from the end: before the end-of-stream sector, or last where a writer left that out.
constexpr uint64_t kFooterFromEnd = 2 * kSectorSize;
constexpr uint64_t kFooterAtEnd = kSectorSize;

/// With nothing in its padding [PRB-6].
bool is_marker(ConstBytes sector, MarkerType type, uint64_t sectors_behind) {
  const auto marker = load<MarkerRaw>(sector);
  return marker.value == sectors_behind && marker.size == 0 && marker.type == static_cast<uint32_t>(type) &&
         is_zero(sector.subspan(sizeof(MarkerRaw)));
}

}  // namespace

GrainMarker load_marker(ConstBytes bytes) { return {load<le64>(bytes), load<le32>(bytes, 8)}; }

uint64_t max_stored_grain(const SparseHeader& header) { return 2 * header.grain_bytes() + kGrainSlack; }

GrainDecoder::GrainDecoder(uint64_t grain_bytes, size_t max_idle)
    : grain_bytes_(grain_bytes),
      inflaters_([] { return std::make_unique<Inflater>(); }, max_idle),
      grains_([grain_bytes] { return std::make_unique<std::vector<std::byte>>(grain_bytes); }, max_idle) {}

void GrainDecoder::decode(ConstBytes stored, MutableBytes out) {
  const auto inflater = inflaters_.borrow();
  size_t length = 0;
  if (out.size() == grain_bytes_) {
    length = inflater->inflate(stored, out);
  } else {
    const auto grain = grains_.borrow();
    length = inflater->inflate(stored, *grain);
    std::memcpy(out.data(), grain->data(), std::min(length, out.size()));
  }
  if (length < out.size())
    throw Error(Errc::corrupt, "a compressed grain has " + std::to_string(length) + " bytes instead of " + std::to_string(out.size()));
}

Error undecodable(uint64_t grain, const Error& error) {
  return Error(error.code(), "grain " + std::to_string(grain) + " cannot be decoded").caused_by(error.message());
}

void require_agreement(const SparseHeader& header, const SparseHeader& footer) {
  if (footer.gd_at_end()) throw Error(Errc::corrupt, "the footer leaves the directory's place to a footer");
  const bool same = header.version == footer.version && header.flags == footer.flags &&
                    header.capacity_sectors == footer.capacity_sectors && header.grain_sectors == footer.grain_sectors &&
                    header.gtes_per_gt == footer.gtes_per_gt && header.descriptor_sector == footer.descriptor_sector &&
                    header.descriptor_sectors == footer.descriptor_sectors;
  if (!same) throw Error(Errc::corrupt, "header and footer of the stream describe different disks");
}

SparseHeader read_footer(Storage& file, const SparseHeader& header, const Limits& limits, bool& ends_well) {
  const uint64_t size = file.size();
  for (const uint64_t from_end : {kFooterFromEnd, kFooterAtEnd}) {
    if (size < from_end + 2 * kSectorSize) break;
    std::vector<std::byte> tail(kSectorSize + from_end);
    file.read_at(size - tail.size(), tail);
    const ConstBytes bytes = tail;
    const ConstBytes sector = bytes.subspan(kSectorSize, kSectorSize);
    if (!is_sparse_header(sector) || !is_marker(bytes.first(kSectorSize), MarkerType::footer, 1)) continue;
    ends_well = from_end == kFooterFromEnd && is_marker(bytes.subspan(2 * kSectorSize), MarkerType::end_of_stream, 0);
    if (from_end == kFooterFromEnd && !ends_well) continue;
    const SparseHeader footer = parse_sparse_header(sector, size, limits);
    require_agreement(header, footer);
    return footer;
  }
  throw Error(Errc::corrupt, "the stream has no footer at its end").in(file.name()).hint("the file was cut short: fetch it again");
}

}  // namespace varve::vmdk
