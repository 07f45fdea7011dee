// What an image lies over, and how its children know it (docs/formats/varve.md, section 12).
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/hex.h"
#include "native/native.h"
#include "native/native_image.h"
#include "varve/error.h"

namespace varve::native {
namespace {

/// What the identity of a snapshot begins with.
constexpr std::string_view kPinned = "snapshot ";

}  // namespace

std::optional<ParentLink> NativeImage::parent() const {
  const std::lock_guard lock(change_mutex_);
  const ParentReference* reference = catalog_.parent(head_.parent());
  if (reference == nullptr) return std::nullopt;
  ParentLink link;
  link.names = {reference->path};
  link.format = reference->format;
  if (!reference->identity.empty()) link.identities = {reference->identity};
  if (reference->format == native_driver().info().name && reference->identity.starts_with(kPinned)) {
    const size_t end = reference->identity.find(' ', kPinned.size());
    link.snapshot = reference->identity.substr(kPinned.size(), end == std::string::npos ? end : end - kPinned.size());
  }
  return link;
}

/// While a commit from a child is under way: the child can't know beforehand which generation is the last one of it.
std::string NativeImage::any_state() const { return "image " + format_uuid(parts_.headers.header.image_uuid); }

/// A snapshot never changes. Of the head every commit makes another state: a parent that was written to is not the one that its child was
/// made over.
std::string NativeImage::identity() const {
  const std::lock_guard lock(change_mutex_);
  if (parts_.snapshot.is_any()) {
    const Snapshot* shown = shown_snapshot();
    // A key rotation encrypts a snapshot anew, and it stays the same snapshot.
    if (parts_.cipher != nullptr) return std::string(kPinned) + format_uuid(shown->uuid);
    return std::string(kPinned) + format_uuid(shown->uuid) + " root " + to_hex(std::as_bytes(std::span(shown->object.root.tag)));
  }
  return any_state() + " generation " + std::to_string(durable_.generation);
}

bool NativeImage::is_known_as(const std::string& expected) const {
  return expected == identity() || (!parts_.snapshot.is_any() && expected == any_state());
}

std::string NativeImage::announce_change() {
  begin_session();  // asks whether the image can be written to
  return any_state();
}

void NativeImage::set_parent_reference(const ParentReference& reference) {
  catalog_.parents = {reference};
  catalog_changed_ = true;
  head_.set_parent(reference.id);
  head_changed_ = true;
}

/// The head alone: a snapshot goes on reading what it read, so the record that one names stays as it is.
void NativeImage::lie_over(std::optional<ParentReference> reference) {
  begin_session();
  const std::lock_guard lock(change_mutex_);
  require_sound();
  drop_rotation();
  const uint32_t before = head_.parent();
  const bool shared =
      std::any_of(catalog_.snapshots.begin(), catalog_.snapshots.end(), [&](const Snapshot& s) { return s.object.parent == before; });
  auto& all = catalog_.parents;
  if (!shared) std::erase_if(all, [&](const ParentReference& p) { return p.id == before; });
  uint32_t id = 0;
  if (reference) {
    id = 1;
    while (catalog_.parent(id) != nullptr) ++id;
    reference->id = id;
    all.push_back(std::move(*reference));
  }
  catalog_changed_ = true;
  {
    const std::unique_lock tree_lock(tree_mutex_);
    head_.set_parent(id);
  }
  commit();
}

void NativeImage::change_parent(const CreateContext::Parent* parent) {
  if (parent == nullptr) return lie_over(std::nullopt);
  lie_over(ParentReference{0, parent->format, parent->name, parent->identity});
}

void NativeImage::renew_parent(const std::string& identity) {
  std::optional<ParentReference> reference;
  {
    const std::lock_guard lock(change_mutex_);
    if (const ParentReference* present = catalog_.parent(head_.parent())) reference = *present;
  }
  if (!reference) throw Error(Errc::invalid_argument, "the image has no parent");
  reference->identity = identity;
  lie_over(std::move(reference));
}

}  // namespace varve::native
