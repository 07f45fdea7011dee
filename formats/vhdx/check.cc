// Checking a whole VHDX: both copies of everything that has two, the log, every entry of the table, who owns what in the file.
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "base/interval_set.h"
#include "base/sizes.h"
#include "varve/error.h"
#include "vhdx/vhdx_image.h"

namespace varve::vhdx {
namespace {

/// More runs of bad blocks than this are counted, but neither told apart nor repaired at once.
constexpr size_t kMaxBadRuns = 10000;

class ImageCheck {
 public:
  ImageCheck(VhdxImage& image, const CheckOptions& options)
      : image_(image),
        options_(options),
        geometry_(image.map().geometry()),
        file_(*image.parts().file),
        owners_(checked_add(file_.size(), geometry_.block_size), image.parts().limits.metadata_bytes) {}

  CheckReport run() {
    image_.settle();
    check_headers();
    check_regions();
    check_log();
    check_bitmaps();
    check_blocks();
    if (!image_.parts().log_pending) find_leaks();
    repair();
    if (options_.data) read_data();
    return std::move(report_);
  }

 private:
  bool repairs(Repair needed) const { return options_.repair >= needed && image_.parts().writable && !image_.parts().created; }
  void add(Severity severity, std::string message, Repair repaired_by = Repair::none, uint64_t file_offset = 0);
  void check_headers();
  void check_regions();
  void check_log();
  void check_bitmaps();
  void check_blocks();
  void check_run(uint64_t block, const BlockMap::Run& run);
  std::string fault_of(uint64_t block, const BatEntry& entry) const;
  void lose(uint64_t block, const std::string& why, Repair repaired_by = Repair::all);
  void find_leaks();
  void repair();
  void read_data();

  VhdxImage& image_;
  const CheckOptions& options_;
  const Geometry geometry_;
  Storage& file_;
  OwnerMap owners_;                    ///< also of what a last block that was cut short would take
  std::vector<Interval> bad_blocks_;   ///< runs, ascending
  std::vector<uint64_t> bad_bitmaps_;  ///< chunks
  uint64_t misplaced_ = 0;             ///< runs of entries with reserved bits, or with a place that their state does not have
  bool mend_headers_ = false;
  bool mend_regions_ = false;
  CheckReport report_;
};

void ImageCheck::add(Severity severity, std::string message, Repair repaired_by, uint64_t file_offset) {
  Finding found;
  found.severity = severity;
  found.message = std::move(message);
  found.repaired = repaired_by != Repair::none && repairs(repaired_by);
  if (file_offset != 0) found.file_offset = file_offset;
  report_.add(std::move(found));
}

// ---- what has two copies ------------------------------------------------------------------------------

void ImageCheck::check_headers() {
  if (image_.parts().created) return;  // close() writes them
  const Headers& headers = image_.headers();
  for (size_t i = 0; i < 2; ++i) {
    const HeaderCopy& copy = headers.copies[i];
    if (copy.header) continue;
    add(Severity::damage, "copy " + std::to_string(i + 1) + " of the header is not whole: " + copy.fault, Repair::safe, kHeaderOffsets[i]);
    mend_headers_ = true;
  }
  if (!mend_headers_ && headers.copies[0].header->data_write_guid != headers.copies[1].header->data_write_guid)
    add(Severity::note, "the copies of the header bear different data GUIDs: a cut may turn away this disk's children");
}

void ImageCheck::check_regions() {
  const Regions& regions = image_.parts().regions;
  for (size_t i = 0; i < 2; ++i) {
    if (regions.faults[i].empty()) continue;
    add(Severity::damage, "copy " + std::to_string(i + 1) + " of the region table is not whole: " + regions.faults[i], Repair::safe,
        kRegionTableOffsets[i]);
    mend_regions_ = true;
  }
  if (regions.copies_differ) {
    add(Severity::damage, "the copies of the region table differ; the first counts", Repair::safe, kRegionTableOffsets[1]);
    mend_regions_ = true;
  }
  for (const Region* region : {&regions.bat(), &regions.metadata()})
    if (!region->required)
      add(Severity::note, "the region " + format_uuid(region->guid) + " is not marked as required; VirtualBox refuses such a file");
  for (const Region& region : regions.all) owners_.take(region.offset, region.length);
  owners_.take(0, kHeaderSectionSize);
}

void ImageCheck::check_log() {
  const Header& header = image_.headers().header();
  if (!range_fits(header.log_offset, header.log_length, file_.size()))
    add(Severity::damage, "the log lies outside the file, so nothing can be written", Repair::none, header.log_offset);
  owners_.take(header.log_offset, header.log_length);
  if (image_.parts().log_pending)
    add(Severity::note, "the log holds changes, which were replayed in memory; opening the image for writing brings them into the file");
  if (image_.parts().log_replayed) add(Severity::note, "the log held changes: they are in the file now", Repair::safe);
}

// ---- the table -----------------------------------------------------------------------------------------

void ImageCheck::check_bitmaps() {
  for (uint64_t chunk = 0; geometry_.differencing && chunk < geometry_.chunks(); ++chunk) {
    const BatEntry entry = image_.map().bitmap(chunk);
    if (entry.state == BlockState::not_present) continue;
    std::string why =
        entry.state == BlockState::fully_present ? image_.place_fault(entry.offset, kBitmapBlockSize) : "is in a state that does not exist";
    if (why.empty() && !owners_.take(entry.offset, kBitmapBlockSize)) why = "shares its place with something else";
    if (why.empty()) continue;
    add(Severity::damage, "sector bitmap " + std::to_string(chunk) + " " + why, Repair::all, entry.offset);
    bad_bitmaps_.push_back(chunk);
  }
}

std::string ImageCheck::fault_of(uint64_t block, const BatEntry& entry) const {
  if (std::string why = image_.state_fault(block, entry); !why.empty()) return why;
  if (!entry.has_place()) return {};
  const uint64_t chunk = block / geometry_.blocks_a_chunk;
  if (entry.state == BlockState::partially_present && std::binary_search(bad_bitmaps_.begin(), bad_bitmaps_.end(), chunk))
    return "is partially present, and its sector bitmap is not where one can be";
  return image_.place_fault(entry.offset, image_.needed_of(block));
}

/// `repaired_by`: none if dropping the block is no help.
void ImageCheck::lose(uint64_t block, const std::string& why, Repair repaired_by) {
  Finding found;
  found.message = "block " + std::to_string(block) + " of the disk " + why;
  found.disk_offset = block * geometry_.block_size;
  found.disk_length = geometry_.bytes_of_block(block);
  if (repaired_by == Repair::none) return report_.add(std::move(found));
  const bool continues = !bad_blocks_.empty() && bad_blocks_.back().end() == block;
  const bool room = continues || bad_blocks_.size() < kMaxBadRuns;
  if (continues)
    ++bad_blocks_.back().length;
  else if (room)
    bad_blocks_.push_back({block, 1});
  found.repaired = room && repairs(repaired_by);
  report_.add(std::move(found));
}

void ImageCheck::check_run(uint64_t block, const BlockMap::Run& run) {
  if (run.entry.reserved != 0) ++misplaced_;
  if (!run.entry.has_place()) {
    // The first speaks for all.
    if (const std::string why = fault_of(block, run.entry); !why.empty())
      for (uint64_t i = 0; i < run.blocks; ++i) lose(block + i, why);
    if (run.entry.offset != 0) ++misplaced_;
    return;
  }
  for (uint64_t i = 0; i < run.blocks; ++i) {
    BatEntry entry = run.entry;
    entry.offset += i * geometry_.block_size;
    std::string why = fault_of(block + i, entry);
    if (why.empty() && !owners_.take(entry.offset, geometry_.block_size)) why = "shares its place with something else";
    if (!why.empty())
      lose(block + i, why);
    else
      report_.allocated_bytes += geometry_.block_size;
  }
}

void ImageCheck::check_blocks() {
  for (uint64_t block = 0; block < geometry_.blocks();) {
    if (options_.cancel != nullptr) options_.cancel->check();
    const BlockMap::Run run = image_.map().run_at(block, geometry_.blocks() - block);
    check_run(block, run);
    block += run.blocks;
    if (options_.progress) options_.progress(std::min(block * geometry_.block_size, image_.size()), image_.size());
  }
  if (misplaced_ != 0)
    add(Severity::note, std::to_string(misplaced_) +
                            " entries of the block allocation table have bits set that should be zero; Hyper-V may refuse the file");
}

/// Holes cost nothing and are no leak: blocks that were given up are punched.
void ImageCheck::find_leaks() {
  uint64_t first_leak = 0;
  owners_.for_each_gap([&](uint64_t offset, uint64_t length) {
    const uint64_t end = std::min(offset + length, file_.size());
    while (offset < end) {
      const StorageExtent run = file_.extent_at(offset);
      const uint64_t here = std::min(run.length, end - offset);
      if (here == 0) throw Error(Errc::io, "the file became shorter while it was checked");
      if (!run.hole && report_.leaked_bytes == 0) first_leak = offset;
      if (!run.hole) report_.leaked_bytes += here;
      offset += here;
    }
  });
  if (report_.leaked_bytes != 0)
    add(Severity::leak, format_size(report_.leaked_bytes) + " of the file belong to nothing; the next writer uses them", Repair::none,
        first_leak);
}

// ---- repair and data -----------------------------------------------------------------------------------

void ImageCheck::repair() {
  // Before the file changes its headers are written anew [MS-VHDX 2.2.2].
  if (repairs(Repair::safe) && (mend_headers_ || mend_regions_)) image_.mend_headers();
  if (repairs(Repair::safe) && mend_regions_) image_.mend_regions();
  if (repairs(Repair::all)) image_.drop(bad_blocks_, bad_bitmaps_);
}

/// Blocks have no checksums: what can be found is what the host can't read. Places that no block can have were reported before.
void ImageCheck::read_data() {
  std::vector<std::byte> buffer(kMiB);
  for (uint64_t offset = 0; offset < image_.size();) {
    if (options_.cancel != nullptr) options_.cancel->check();
    uint64_t length = std::min(geometry_.block_size - offset % geometry_.block_size, image_.size() - offset);
    try {
      const Extent run = image_.extent_at(offset, length);
      length = run.kind == ExtentKind::data ? std::min<uint64_t>(run.length, buffer.size()) : run.length;
      if (run.kind == ExtentKind::data) image_.read_at(offset, MutableBytes(buffer).first(length));
    } catch (const Error& error) {
      if (error.code() == Errc::io)
        lose(offset / geometry_.block_size, "can't be read: " + error.message(), Repair::none);
      else if (error.code() != Errc::corrupt)
        throw;
    }
    offset += length;
  }
}

}  // namespace

CheckReport check_image(VhdxImage& image, const CheckOptions& options) { return ImageCheck(image, options).run(); }

}  // namespace varve::vhdx
