// An open VMDK: its descriptor, and its extents one behind the other.
//
// A request is split at the extents' borders, so each extent sees only what is its own. What the descriptor says of an extent (read-only,
// no access) is enforced here; how its data lies is the extent's affair.
#ifndef VARVE_FORMATS_VMDK_VMDK_IMAGE_H
#define VARVE_FORMATS_VMDK_VMDK_IMAGE_H

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "image/driver.h"
#include "vmdk/descriptor.h"
#include "vmdk/descriptor_store.h"
#include "vmdk/extent.h"
#include "vmdk/header.h"

namespace varve {
class RandomSource;
}

namespace varve::vmdk {

/// One extent in its place.
struct ImagePart {
  uint64_t offset = 0;  ///< in the disk, bytes
  uint64_t size = 0;    ///< bytes; the driver's may be larger
  ExtentLine line;
  std::shared_ptr<Storage> storage;    ///< nullptr of ZERO and NOACCESS
  uint32_t file = 0;                   ///< index in ImageInfo::files
  std::optional<SparseHeader> header;  ///< of hosted sparse extents, as it was when opened
  std::unique_ptr<ExtentDriver> driver;

  uint64_t end() const { return offset + size; }
  bool may_write() const { return line.access == ExtentAccess::read_write; }
};

/// All that an image is made of.
struct ImageParts {
  std::vector<ImagePart> parts;                 ///< in order, without gaps
  std::vector<std::shared_ptr<Storage>> files;  ///< the named one first
  std::unique_ptr<DescriptorStore> descriptor;  ///< nullptr: an extent opened alone
  bool writable = false;
  /// A created image has its CID already; an opened one gets a new one before the first write.
  bool created = false;
  Limits limits;
  uint64_t sharers = 1;  ///< extents among which limits.metadata_bytes is divided
  RandomSource* random = nullptr;
};

/// A new CID, also the end of ddb.longContentID if there is one. [O: the content ID changes with the first write after each open.] Where
/// there is no CID, none is added: no child can know the image by it.
void renew_cid(Descriptor& descriptor, RandomSource& random);

/// Thread-safe as FormatImage says. cid_mutex_ is the only lock here and is held while the descriptor is written.
class VmdkImage final : public FormatImage {
 public:
  explicit VmdkImage(ImageParts parts);

  ImageInfo info() const override;
  uint64_t size() const override { return parts_.parts.back().end(); }
  uint64_t granularity() const override { return granularity_; }
  void read_at(uint64_t offset, MutableBytes out) override;
  void write_at(uint64_t offset, ConstBytes data) override;
  void require_writable(uint64_t offset, uint64_t length) override;
  bool zero(uint64_t offset, uint64_t length) override;
  void discard(uint64_t offset, uint64_t length) override;
  Extent extent_at(uint64_t offset, uint64_t limit) override;
  void flush() override;
  void close() override;
  CheckReport check(const CheckOptions& options) override;
  void resize(uint64_t size) override;

  std::optional<ParentLink> parent() const override;
  std::string identity() const override;
  void check_new_parent(const CreateContext::Parent* parent) const override;
  void change_parent(const CreateContext::Parent* parent) override;
  void renew_parent(const std::string& identity) override;
  std::string announce_change() override;
  BulkWriter* bulk_writer() override;
  Storage* flat_storage() override;

  const ImageParts& parts() const { return parts_; }
  DescriptorStore* descriptor() const { return parts_.descriptor.get(); }
  /// After its file was changed behind the driver's back, by a repair. The driver was closed.
  void reopen_part(size_t index);
  /// Children must notice that their parent has changed: a new CID is durable before the first byte is. Once a session.
  void before_change();

 private:
  const ImagePart& part_at(uint64_t offset) const;
  void require_writable(const ImagePart& part) const;
  bool has_room(const ImagePart& part, uint64_t end) const;
  void require_resizable(uint64_t size) const;
  /// Calls `use(part, offset in the part, length)` for each extent that the range touches.
  void split(uint64_t offset, uint64_t length, const std::function<void(const ImagePart&, uint64_t, uint64_t)>& use) const;
  std::optional<DescriptorStore::Change> plan_resize(uint64_t size, const ExtentLine& line) const;
  void add_details(ImageInfo& info) const;
  Descriptor described() const;
  bool replace_in_one_sector(Descriptor descriptor);
  void append_line(const std::string& line);
  bool put_parent(uint32_t cid, const std::string& name);
  bool make_room_for_parent();
  void append_parent(uint32_t cid, const std::string& name);
  void remove_parent();
  void connect_below(const ImagePart& part);
  std::unique_ptr<BulkWriter> make_split_writer() const;

  ImageParts parts_;
  uint64_t granularity_ = 1;
  std::unique_ptr<BulkWriter> split_writer_;  ///< of a created image of several extents; made on the first bulk_writer()
  std::mutex cid_mutex_;
  std::atomic<bool> cid_renewed_{false};
};

/// As FormatImage::check().
CheckReport check_image(VmdkImage& image, const CheckOptions& options);

}  // namespace varve::vmdk

#endif
