#include "vhdx/create.h"

#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "base/random.h"
#include "base/utf16.h"
#include "varve/error.h"
#include "vhdx/create_options.h"

namespace varve::vhdx {
namespace {

constexpr uint64_t kLogLength = kMiB;
/// So large a table has room to spare: most disks grow in place.
constexpr uint64_t kTableReserve = 2 * kMiB;

/// A size that a disk can have.
void require_size(uint64_t size) {
  if (size == 0) throw Error(Errc::invalid_argument, "a VHDX has at least one sector").hint("give a size of 512 bytes or more");
  if (size > kMaxDiskSize) throw Error(Errc::limit, "a VHDX has at most 64 TiB").hint("use format raw for larger disks");
}

uint64_t disk_size(CreateContext& context, uint64_t sector) {
  const uint64_t size = context.size();
  require_size(size);
  if (size % sector != 0) {
    context.warn("the size is rounded up to " + std::to_string(align_up(size, sector)) + " bytes: this VHDX consists of sectors of " +
                 std::to_string(sector) + " bytes");
  }
  return align_up(size, sector);
}

/// To the guest a child is the same disk as its parent.
void inherit(const OptionValues& options, const Metadata& parent, Metadata& child) {
  const auto take = [&](const char* option, uint64_t from, uint64_t& to) {
    if (options.is_given(option) && to != from) {
      throw Error(Errc::invalid_argument, std::string(option) + " of a child is the parent's, which is " + std::to_string(from))
          .hint("leave the option out");
    }
    to = from;
  };
  take("logical_sector_size", parent.logical_sector, child.logical_sector);
  take("physical_sector_size", parent.physical_sector, child.physical_sector);
  if (!options.is_given("disk_id")) child.disk_id = parent.disk_id;
}

void set_parent(CreateContext& context, Metadata& metadata) {
  const CreateContext::Parent* parent = context.parent();
  if (parent == nullptr) return;
  if (parent->format != "vhdx") {
    throw Error(Errc::unsupported, "the parent of a VHDX can only be a VHDX, not " + parent->format)
        .hint("convert the parent to vhdx first");
  }
  if (metadata.fixed)
    throw Error(Errc::unsupported, "a VHDX with a parent can't be fixed").hint("leave subformat out, or give subformat=dynamic");
  metadata.parent = make_locator(parent->name, parent->identity);
  if (const auto* image = dynamic_cast<const VhdxImage*>(parent->image)) inherit(context.options(), image->parts().metadata, metadata);
}

/// Log, metadata and table, one behind the other after the first MiB.
Regions lay_out(const Geometry& geometry, Header& header) {
  header.log_offset = kHeaderSectionSize;
  header.log_length = kLogLength;
  const Region metadata{kMetadataRegion, header.log_offset + header.log_length, kMetadataRegionSize};
  Geometry largest = geometry;
  largest.disk_size = kMaxDiskSize;
  const uint64_t room = std::max(geometry.bat_bytes(), std::min(largest.bat_bytes(), kTableReserve));
  const Region table{kBatRegion, metadata.end(), align_up(room, kMiB)};
  return {{table, metadata}};
}

void write_identifier(Storage& file) {
  FileIdentifierRaw raw{};
  raw.signature = kFileSignature;
  const std::vector<std::byte> creator = utf8_to_utf16le("varve");
  std::copy(creator.begin(), creator.end(), std::as_writable_bytes(std::span(raw.creator)).begin());
  file.write_at(0, bytes_of(raw));
}

/// All blocks of a fixed disk, one behind the other, and the table that says so.
void place_all_blocks(Storage& file, const Geometry& geometry, const Region& table) {
  const uint64_t first = file.size();
  file.resize(first + geometry.blocks() * geometry.block_size);
  file.reserve(first, geometry.blocks() * geometry.block_size);  // a disk without surprises is what fixed is chosen for
  std::vector<le64> entries;
  const uint64_t count = geometry.entries();
  for (uint64_t done = 0; done < count; done += entries.size()) {
    entries.assign(std::min<uint64_t>(count - done, kMiB / kBatEntrySize), le64(0));
    for (size_t i = 0; i < entries.size(); ++i) {
      const uint64_t chunk = (done + i) / (geometry.blocks_a_chunk + 1);
      if (geometry.bitmap_index(chunk) == done + i) continue;
      entries[i] = pack({BlockState::fully_present, first + (done + i - chunk) * geometry.block_size});
    }
    file.write_at(table.offset + done * kBatEntrySize, std::as_bytes(std::span(entries)));
  }
}

}  // namespace

uint64_t measure_image(const OptionValues& options, uint64_t size, const FormatDriver::CountUnits& count) {
  require_size(size);
  Metadata metadata = make_plan(options, system_random());
  metadata.disk_size = align_up(size, metadata.logical_sector);
  const Geometry geometry(metadata);
  Header header;
  const uint64_t blocks = metadata.fixed ? geometry.blocks() : count(geometry.block_size);
  return lay_out(geometry, header).bat().end() + blocks * geometry.block_size;
}

std::unique_ptr<VhdxImage> create_image(CreateContext& context) {
  if (context.streaming()) throw Error(Errc::unsupported, "a VHDX can't go down a pipe").hint("write it to a file");
  ImageParts parts;
  parts.metadata = make_plan(context.options(), context.random());
  set_parent(context, parts.metadata);
  parts.metadata.disk_size = disk_size(context, parts.metadata.logical_sector);
  const Geometry geometry(parts.metadata);

  Header header;
  header.file_write_guid = random_uuid(context.random());
  header.data_write_guid = random_uuid(context.random());
  parts.regions = lay_out(geometry, header);
  parts.headers.copies[0].header = header;

  Storage& file = *context.file();
  file.resize(parts.regions.bat().end());
  write_identifier(file);
  for (const uint64_t copy : kRegionTableOffsets) file.write_at(copy, encode(parts.regions.all));
  file.write_at(parts.regions.metadata().offset, encode(parts.metadata));
  read_metadata(file, parts.regions.metadata(), context.limits(), &parts.size_offset);
  if (parts.metadata.fixed) place_all_blocks(file, geometry, parts.regions.bat());

  parts.file = context.file();
  parts.creator = "varve";
  parts.writable = true;
  parts.created = true;
  parts.limits = context.limits();
  parts.random = &context.random();
  return std::make_unique<VhdxImage>(std::move(parts));
}

}  // namespace varve::vhdx
