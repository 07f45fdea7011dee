// Giving an image another size: its last extent and what the descriptor says of it.
//
// The extent grows first and the descriptor follows, or it gives way first: at no moment does it promise more than the extent has. A power
// cut between the two leaves the old disk with room behind it, which the next growth takes.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/zero.h"
#include "varve/error.h"
#include "vmdk/create.h"
#include "vmdk/new_descriptor.h"
#include "vmdk/text_encoding.h"
#include "vmdk/vmdk_image.h"

namespace varve::vmdk {
namespace {

bool reads_as_zeros(ExtentDriver& driver, bool over_parent, uint64_t offset, uint64_t end) {
  constexpr uint64_t kPiece = uint64_t{1} << 20;
  std::vector<std::byte> buffer;
  while (offset < end) {
    const Extent run = driver.extent_at(offset, end - offset);
    const bool zero = run.kind == ExtentKind::zero || (run.kind == ExtentKind::absent && !over_parent);
    const uint64_t length = zero ? run.length : std::min(run.length, kPiece);
    if (!zero) {
      buffer.resize(length);
      driver.read_at(offset, buffer);
      if (!is_zero(buffer)) return false;
    }
    offset += length;
  }
  return true;
}

}  // namespace

/// Does the extent reach so far already? A growth that did not get as far as the descriptor leaves it so.
bool VmdkImage::has_room(const ImagePart& part, uint64_t end) const { return end > part.end() && end - part.offset <= part.driver->size(); }

/// Everything that can be refused is, before the first change.
void VmdkImage::require_resizable(uint64_t size) const {
  const ImagePart& last = parts_.parts.back();
  require_writable(last);
  if (size % kSectorSize != 0) throw Error(Errc::invalid_argument, "the size of a VMDK is a multiple of 512 bytes");
  if (size <= last.offset) throw Error(Errc::unsupported, "the disk cannot lose a whole extent").hint("convert it into a smaller one");
  for (const ImagePart& part : parts_.parts) {
    if (part.storage && part.storage == last.storage && part.line.offset_sectors > last.line.offset_sectors)
      throw Error(Errc::unsupported, "another extent lies behind the last one in the same file, so it cannot be resized")
          .in(last.storage->name());
  }
  if (!has_room(last, size)) last.driver->check_resize(size - last.offset);
  if (size > last.end() &&
      !reads_as_zeros(*last.driver, parent().has_value(), last.size, std::min(size - last.offset, last.driver->size())))
    throw Error(Errc::unsupported, "the extent holds data behind the disk's end, which growing would show").in(last.storage->name());
  const bool split = parts_.descriptor && lower_case(parts_.descriptor->descriptor().create_type()).starts_with("twogbmaxextent");
  if (split && size > last.end() && size - last.offset > kSplitSectors * kSectorSize) {
    throw Error(Errc::unsupported, "the disk is split into files of 2047 MiB, and the last one has room for " +
                                       std::to_string(last.offset + std::max(last.size, kSplitSectors * kSectorSize)) +
                                       " bytes of disk at most")
        .hint("convert it to subformat=monolithicSparse or vmfs, and resize that");
  }
}

/// What the descriptor is to say of a disk of `size` bytes, of which `line` is the last extent.
std::optional<DescriptorStore::Change> VmdkImage::plan_resize(uint64_t size, const ExtentLine& line) const {
  if (!parts_.descriptor) return std::nullopt;
  Descriptor changed = parts_.descriptor->descriptor();
  if (!cid_renewed_.load(std::memory_order_relaxed)) renew_cid(changed, *parts_.random);
  changed.set_extent(parts_.parts.size() - 1, line);
  Descriptor with_geometry = changed;
  update_geometry(with_geometry, size / kSectorSize);
  try {
    return parts_.descriptor->prepare(std::move(with_geometry));
  } catch (const Error&) {
    // A guest goes by the disk's size. Better an old geometry than no resize.
    return parts_.descriptor->prepare(std::move(changed));
  }
}

void VmdkImage::resize(uint64_t size) {
  require_resizable(size);
  ImagePart& last = parts_.parts.back();
  ExtentLine line = last.line;
  line.sectors = (size - last.offset) / kSectorSize;
  std::optional<DescriptorStore::Change> change = plan_resize(size, line);
  const auto describe = [&] {
    if (change) parts_.descriptor->commit(std::move(*change));
    cid_renewed_.store(true, std::memory_order_release);
    last.line = std::move(line);
    last.size = size - last.offset;
  };
  // What children can see changes with the descriptor, and so does the CID.
  const bool grows = size > last.end();
  if (!grows) describe();
  if (!has_room(last, size)) last.driver->resize(size - last.offset);
  last.driver->flush();
  if (grows) describe();
}

}  // namespace varve::vmdk
