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

constexpr std::string_view kHint = "parentFileNameHint";

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
  Descriptor changed = described();
  const ParentReference reference = parent == nullptr ? ParentReference{} : reference_to(*parent);
  changed.set_parent_cid(reference.cid);
  if (parent == nullptr) {
    changed.blank(kHint);
    return parts_.descriptor->replace(std::move(changed));
  }
  changed.set(kHint, reference.name);
  std::optional<DescriptorStore::Change> change;
  try {
    change = parts_.descriptor->prepare(std::move(changed));
  } catch (const Error& error) {
    if (error.code() != Errc::limit) throw;
  }
  if (change) return parts_.descriptor->commit(std::move(*change));
  append_parent(reference.cid, reference.name);
}

/// Where the name has no room in its place: it comes to stand at the end, where it does not count yet, in a sector of its own if need be.
/// Then one sector changes, that of the CID and the old name: the new one counts from then on.
void VmdkImage::append_parent(uint32_t cid, const std::string& name) {
  const std::string line = std::string(kHint) + "=\"" + name + '"';
  DescriptorStore& store = *parts_.descriptor;
  Descriptor changed = described();
  const size_t used = changed.text().size();
  if (used % kSectorSize + line.size() + 2 > kSectorSize) {
    while (changed.text().size() / kSectorSize == used / kSectorSize) changed.append("");
    store.replace(changed);
  }
  changed.append(line);
  store.replace(changed);
  changed.blank(kHint, 1);
  changed.set_parent_cid(cid);
  store.replace(std::move(changed));
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
