// What an image lies over: CID and name of the parent in the descriptor.
#include <charconv>
#include <string>
#include <utility>

#include "varve/error.h"
#include "vmdk/new_descriptor.h"
#include "vmdk/structures.h"
#include "vmdk/vmdk_image.h"

namespace varve::vmdk {
namespace {

constexpr std::string_view kCid = "parentCID";
constexpr std::string_view kHint = "parentFileNameHint";

std::string hint_line(const std::string& name) { return std::string(kHint) + "=\"" + name + '"'; }

}  // namespace

uint32_t cid_of_identity(const std::string& identity) {
  constexpr std::string_view kPrefix = "CID ";
  uint32_t cid = 0;
  if (identity.starts_with(kPrefix)) {
    const auto [end, error] = std::from_chars(identity.data() + kPrefix.size(), identity.data() + identity.size(), cid, 16);
    if (error == std::errc{} && end == identity.data() + identity.size()) return cid;
  }
  throw Error(Errc::invalid_argument, "the parent has no CID to be known by").hint("convert the parent to a new VMDK");
}

ParentReference reference_to(const CreateContext::Parent& parent) {
  if (parent.format != "vmdk") {
    throw Error(Errc::unsupported, "the parent of a VMDK can only be a VMDK, not " + parent.format)
        .hint("convert the parent to vmdk first");
  }
  return {cid_of_identity(parent.identity), parent.name};
}

Descriptor VmdkImage::described() const {
  if (parts_.descriptor) return parts_.descriptor->descriptor();
  throw Error(Errc::unsupported, "an extent alone has no place for a parent").hint("name the image's descriptor file");
}

void VmdkImage::check_new_parent(const CreateContext::Parent* parent) const {
  Descriptor descriptor = described();
  if (parent == nullptr) return;
  descriptor.set(kHint, reference_to(*parent).name);
  if (this->parent()) return;
  for (const ImagePart& part : parts_.parts) {
    // What such an extent does not hold is not the parent's, for anybody.
    if (!part.header || part.header->compressed())
      throw Error(Errc::unsupported, "a VMDK with a parent can only be monolithicSparse or twoGbMaxExtentSparse")
          .hint("convert the image to one of these first");
  }
}

void VmdkImage::change_parent(const CreateContext::Parent* parent) {
  check_new_parent(parent);
  // What an earlier change left half done.
  Descriptor tidy = described();
  tidy.blank(kHint, Descriptor::Keep::first);
  parts_.descriptor->replace(std::move(tidy));
  if (parent == nullptr) return remove_parent();
  const ParentReference reference = reference_to(*parent);
  while (!put_parent(reference.cid, reference.name))
    if (!make_room_for_parent()) return append_parent(reference.cid, reference.name);
}

/// Without the number the name means nothing.
void VmdkImage::remove_parent() {
  Descriptor changed = described();
  changed.set_parent_cid(kNoParentCid);
  parts_.descriptor->replace(changed);
  changed.blank(kHint, Descriptor::Keep::none);
  parts_.descriptor->replace(std::move(changed));
}

/// False, and nothing has changed, if it has no room or a power cut could leave half of it.
bool VmdkImage::replace_in_one_sector(Descriptor descriptor) {
  std::optional<DescriptorStore::Change> change;
  try {
    change = parts_.descriptor->prepare(std::move(descriptor));
  } catch (const Error& error) {
    if (error.code() != Errc::limit) throw;
  }
  if (!change || !change->is_one_sector()) return false;
  parts_.descriptor->commit(std::move(*change));
  return true;
}

/// Number and name change together, in the sector of the number. A name that stands elsewhere does not count any more when there is one
/// before it.
bool VmdkImage::put_parent(uint32_t cid, const std::string& name) {
  Descriptor changed = described();
  changed.set_parent_cid(cid);
  if (changed.in_one_sector(kCid, kHint)) {
    changed.set(kHint, name);
  } else if (!changed.put_in_sector_of(kCid, hint_line(name))) {
    return false;
  }
  if (!replace_in_one_sector(std::move(changed))) return false;
  Descriptor tidy = described();
  tidy.blank(kHint, Descriptor::Keep::first);
  parts_.descriptor->replace(std::move(tidy));
  return true;
}

/// A line of the disk database moves to the end: first there are two of it, and then the first one is blank.
bool VmdkImage::make_room_for_parent() {
  const auto line = described().database_line_in_sector_of(kCid);
  if (!line) return false;
  append_line(line->second);
  Descriptor changed = described();
  changed.blank(line->first, Descriptor::Keep::last);
  parts_.descriptor->replace(std::move(changed));
  return true;
}

/// At the end, whole in a sector if it can be.
void VmdkImage::append_line(const std::string& line) {
  DescriptorStore& store = *parts_.descriptor;
  Descriptor changed = described();
  const size_t used = changed.text().size();
  if (used % kSectorSize + line.size() + 2 > kSectorSize) {
    while (changed.text().size() / kSectorSize == used / kSectorSize) changed.append("");
    store.replace(changed);
  }
  changed.append(line);
  store.replace(std::move(changed));
}

/// Where the sector is full the name comes to stand at the end, where it does not count yet. Then the number changes, and the old name in
/// the same sector becomes blank.
void VmdkImage::append_parent(uint32_t cid, const std::string& name) {
  Descriptor changed = described();
  const bool possible = !changed.has(kHint) || changed.in_one_sector(kCid, kHint);
  if (possible) append_line(hint_line(name));
  changed = described();
  changed.blank(kHint, Descriptor::Keep::last);
  changed.set_parent_cid(cid);
  if (possible && replace_in_one_sector(std::move(changed))) return;
  throw Error(Errc::limit, "the descriptor has no room for the parent's name").hint("convert the image; a new descriptor has room");
}

void VmdkImage::renew_parent(const std::string& identity) {
  Descriptor changed = described();
  changed.set_parent_cid(cid_of_identity(identity));
  parts_.descriptor->replace(std::move(changed));
}

std::string VmdkImage::announce_change() {
  before_change();
  return identity();
}

}  // namespace varve::vmdk
