#include "vmdk/vmdk_image.h"

#include <algorithm>
#include <utility>

#include "base/checked_math.h"
#include "base/random.h"
#include "varve/error.h"
#include "vmdk/open.h"
#include "vmdk/split_bulk.h"
#include "vmdk/text_encoding.h"

namespace varve::vmdk {

void renew_cid(Descriptor& descriptor, RandomSource& random) {
  if (!descriptor.has("CID")) return;
  uint32_t cid = random.u32();
  while (cid >= 0xfffffffe || descriptor.cid() == cid) cid = random.u32();
  descriptor.set_cid(cid);
  if (const auto content_id = descriptor.get("ddb.longContentID"); content_id && content_id->size() == 32) {
    std::string id;
    for (int i = 0; i < 3; ++i) id += cid_text(random.u32());
    descriptor.set("ddb.longContentID", id + cid_text(cid));
  }
}

VmdkImage::VmdkImage(ImageParts parts) : parts_(std::move(parts)), cid_renewed_(parts_.created) {
  for (const ImagePart& part : parts_.parts) {
    granularity_ = std::max(granularity_, part.driver->granularity());
    connect_below(part);
  }
}

void VmdkImage::connect_below(const ImagePart& part) {
  if (parent()) part.driver->set_below([this, base = part.offset](uint64_t offset, MutableBytes out) { read_backing(base + offset, out); });
}

void VmdkImage::reopen_part(size_t index) {
  ImagePart& part = parts_.parts[index];
  // If it fails the old driver stays: one that is stale, but not nothing.
  open_sparse_part(part, parts_.writable && part.may_write(), parent().has_value(), parts_.limits, parts_.sharers);
  connect_below(part);
}

const ImagePart& VmdkImage::part_at(uint64_t offset) const {
  const auto after = std::upper_bound(parts_.parts.begin(), parts_.parts.end(), offset,
                                      [](uint64_t wanted, const ImagePart& part) { return wanted < part.offset; });
  return *std::prev(after);
}

void VmdkImage::split(uint64_t offset, uint64_t length, const std::function<void(const ImagePart&, uint64_t, uint64_t)>& use) const {
  while (length > 0) {
    const ImagePart& part = part_at(offset);
    const uint64_t here = std::min(length, part.end() - offset);
    use(part, offset - part.offset, here);
    offset += here;
    length -= here;
  }
}

void VmdkImage::require_writable(const ImagePart& part) const {
  // The driver is asked before the CID changes: children need not notice a write that is refused.
  if (part.may_write()) return part.driver->prepare_write();
  throw Error(Errc::permission,
              "the extent \"" + part.line.name + "\" is marked " + std::string(extent_access_name(part.line.access)) + " in the descriptor")
      .hint("write to a child or a copy of the disk");
}

void VmdkImage::read_at(uint64_t offset, MutableBytes out) {
  split(offset, out.size(), [&](const ImagePart& part, uint64_t at, uint64_t length) {
    part.driver->read_at(at, out.first(length));
    out = out.subspan(length);
  });
}

void VmdkImage::require_writable(uint64_t offset, uint64_t length) {
  split(offset, length, [&](const ImagePart& part, uint64_t, uint64_t) { require_writable(part); });
}

void VmdkImage::write_at(uint64_t offset, ConstBytes data) {
  require_writable(offset, data.size());
  before_change();
  split(offset, data.size(), [&](const ImagePart& part, uint64_t at, uint64_t length) {
    part.driver->write_at(at, data.first(length));
    data = data.subspan(length);
  });
}

bool VmdkImage::zero(uint64_t offset, uint64_t length) {
  bool aligned = true;
  split(offset, length, [&](const ImagePart& part, uint64_t at, uint64_t count) {
    require_writable(part);
    const uint64_t unit = part.driver->granularity();
    aligned = aligned && at % unit == 0 && (count % unit == 0 || at + count == part.size);
  });
  // Extents of odd sizes shift what is behind them against the disk's grains.
  if (!aligned) return false;
  before_change();
  bool done = true;
  split(offset, length, [&](const ImagePart& part, uint64_t at, uint64_t count) { done = part.driver->zero(at, count) && done; });
  return done;
}

void VmdkImage::discard(uint64_t offset, uint64_t length) {
  split(offset, length, [&](const ImagePart& part, uint64_t at, uint64_t count) {
    if (!part.may_write() || !part.driver->writable()) return;
    const uint64_t unit = part.driver->granularity();
    const uint64_t begin = align_up(at, unit);
    const uint64_t end = at + count == part.size ? at + count : align_down(at + count, unit);
    if (begin >= end) return;
    part.driver->prepare_write();
    before_change();
    part.driver->discard(begin, end - begin);
  });
}

Extent VmdkImage::extent_at(uint64_t offset, uint64_t limit) {
  const ImagePart& part = part_at(offset);
  Extent run = part.driver->extent_at(offset - part.offset, std::min(limit, part.end() - offset));
  run.offset = offset;
  run.host_file = run.host_offset ? part.file : 0;
  return run;
}

void VmdkImage::flush() {
  for (const ImagePart& part : parts_.parts)
    if (part.driver->writable()) part.driver->flush();
}

void VmdkImage::close() {
  for (const ImagePart& part : parts_.parts) part.driver->close();
}

void VmdkImage::before_change() {
  if (cid_renewed_.load(std::memory_order_acquire) || !parts_.descriptor) return;
  const std::lock_guard lock(cid_mutex_);
  if (cid_renewed_.load(std::memory_order_relaxed)) return;
  Descriptor changed = parts_.descriptor->descriptor();
  renew_cid(changed, *parts_.random);
  parts_.descriptor->replace(std::move(changed));
  cid_renewed_.store(true, std::memory_order_release);
}

CheckReport VmdkImage::check(const CheckOptions& options) { return check_image(*this, options); }

std::optional<ParentLink> VmdkImage::parent() const {
  if (!parts_.descriptor) return std::nullopt;
  const Descriptor& descriptor = parts_.descriptor->descriptor();
  if (!descriptor.has("parentCID")) return std::nullopt;
  const auto cid = descriptor.parent_cid();
  if (!cid) throw Error(Errc::corrupt, "the descriptor's parentCID is no number of 8 hex digits");
  if (*cid == kNoParentCid) return std::nullopt;
  ParentLink link;
  link.format = "vmdk";
  link.identities = {"CID " + cid_text(*cid)};
  const std::string stored = descriptor.get("parentFileNameHint").value_or("");
  if (!stored.empty()) link.names.push_back(descriptor.to_utf8(stored));
  if (!stored.empty() && link.names.front() != stored) link.names.push_back(stored);
  return link;
}

std::string VmdkImage::identity() const {
  if (!parts_.descriptor) return {};
  const auto cid = parts_.descriptor->descriptor().cid();
  return cid ? "CID " + cid_text(*cid) : "";
}

BulkWriter* VmdkImage::bulk_writer() {
  if (!parts_.created) return nullptr;
  if (parts_.parts.size() == 1) return parts_.parts.front().driver->bulk_writer();
  if (split_writer_ == nullptr) split_writer_ = make_split_writer();
  return split_writer_.get();
}

/// nullptr unless every extent has a writer and begins where its unit does.
std::unique_ptr<BulkWriter> VmdkImage::make_split_writer() const {
  std::vector<SplitBulkWriter::Part> parts;
  for (const ImagePart& part : parts_.parts) {
    BulkWriter* const writer = part.driver->bulk_writer();
    if (writer == nullptr || part.offset % granularity_ != 0 || granularity_ % writer->unit() != 0) return nullptr;
    parts.push_back({part.offset, part.end(), writer});
  }
  return std::make_unique<SplitBulkWriter>(std::move(parts), granularity_);
}

Storage* VmdkImage::flat_storage() {
  const ImagePart& part = parts_.parts.front();
  if (parts_.parts.size() != 1 || (parts_.writable && !part.may_write())) return nullptr;
  Storage* storage = part.driver->flat_storage();
  // Who asks for it may write to it behind our back.
  if (storage != nullptr && parts_.writable) before_change();
  return storage;
}

}  // namespace varve::vmdk
