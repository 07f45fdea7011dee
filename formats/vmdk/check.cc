// Checking a whole image: descriptor, each extent's structure, and on request all data.
#include <algorithm>
#include <string>
#include <utility>

#include "base/interval_set.h"
#include "base/zero.h"
#include "varve/error.h"
#include "vmdk/check_data.h"
#include "vmdk/descriptor_check.h"
#include "vmdk/sparse_check.h"
#include "vmdk/stream_extent.h"
#include "vmdk/vmdk_image.h"

namespace varve::vmdk {
namespace {

void note(CheckReport& report, std::string message) {
  Finding found;
  found.severity = Severity::note;
  found.message = std::move(message);
  report.add(std::move(found));
}

/// ESXi refuses a stream that does not end in an end-of-stream sector.
void check_end(Storage& file, CheckReport& report) {
  std::vector<std::byte> last(kSectorSize);
  if (file.size() % kSectorSize != 0 || file.size() < kSectorSize) return note(report, "the stream does not end with a whole sector");
  file.read_at(file.size() - kSectorSize, last);
  if (!is_zero(last)) note(report, "the stream has no end-of-stream sector; ESXi refuses such a file");
}

class ImageCheck {
 public:
  ImageCheck(VmdkImage& image, const CheckOptions& options) : image_(image), options_(options) {}

  CheckReport run() {
    const bool had_cid = image_.descriptor() != nullptr && image_.descriptor()->descriptor().cid();
    for (size_t i = 0; i < image_.parts().parts.size(); ++i) check_part(i);
    if (image_.descriptor() != nullptr) check_final_descriptor(had_cid);
    return std::move(report_);
  }

 private:
  const ImagePart& part(size_t index) const { return image_.parts().parts[index]; }

  /// After the parts: a repair that gives up data renews the CID, which mends a descriptor that had no good one.
  void check_final_descriptor(bool had_cid) {
    const Descriptor& descriptor = image_.descriptor()->descriptor();
    check_descriptor(descriptor, report_);
    if (had_cid || !descriptor.cid()) return;
    Finding found;
    found.message = "descriptor: there was no CID, or no number of 8 hex digits";
    found.repaired = true;
    report_.add(std::move(found));
  }

  void check_part(size_t index) {
    const size_t before = report_.findings.size();
    IntervalSet bad;
    if (part(index).header)
      bad = check_sparse(index);
    else
      part(index).driver->check(options_, report_);
    if (options_.data && part(index).line.access != ExtentAccess::no_access) read_part(index, bad);
    for (size_t i = before; i < report_.findings.size(); ++i)
      if (report_.findings[i].disk_offset) *report_.findings[i].disk_offset += part(index).offset;
  }

  void read_part(size_t index, const IntervalSet& bad) {
    // Reading every grain around tens of thousands of bad ones tells nothing new, and costs.
    if (bad.count() > kMaxBadParts) return note(report_, "too many grains are bad: the data was not read");
    CheckOptions options = options_;
    if (options_.progress)
      options.progress = [&, base = part(index).offset](uint64_t done, uint64_t) {
        options_.progress(std::min(base + done, image_.size()), image_.size());
      };
    check_data(*part(index).driver, bad, options, report_);
  }

  /// Returns the bad parts.
  IntervalSet check_sparse(size_t index) {
    const ImagePart& p = part(index);
    p.driver->flush();
    const auto* stream = dynamic_cast<const StreamExtent*>(p.driver.get());
    SparseHeader header = stream != nullptr ? stream->header() : current_header(p);
    header.unclean = p.header->unclean;
    if (p.header->compressed()) check_end(*p.storage, report_);
    if (p.driver->size() != p.size) note(report_, "the extent has more sectors than its line in the descriptor says");
    const bool may_repair = image_.parts().writable && p.may_write() && !image_.parts().created;
    CheckOptions options = options_;
    if (!may_repair) options.repair = Repair::none;
    // One extent at a time, but the others' drivers hold their shares meanwhile.
    Limits limits = image_.parts().limits;
    limits.metadata_bytes /= image_.parts().sharers;
    SparseCheck check(p.storage, header, options, limits, report_);
    check.look();
    if (may_repair && options.repair != Repair::none) {
      p.driver->close();
      if (check.gives_up_data()) image_.before_change();
      if (check.repair()) image_.reopen_part(index);
    }
    return check.bad_parts();
  }

  /// As it is in the file: resizing changes it.
  SparseHeader current_header(const ImagePart& p) const {
    std::vector<std::byte> sector(kSectorSize);
    p.storage->read_at(0, sector);
    return parse_sparse_header(sector, p.storage->size(), image_.parts().limits);
  }

  VmdkImage& image_;
  const CheckOptions& options_;
  CheckReport report_;
};

}  // namespace

CheckReport check_image(VmdkImage& image, const CheckOptions& options) { return ImageCheck(image, options).run(); }

}  // namespace varve::vmdk
