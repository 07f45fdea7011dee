#include "image/node.h"

#include <algorithm>

#include "base/checked_math.h"
#include "image/attachments.h"
#include "image/keys.h"
#include "image/snapshots.h"

namespace varve {

namespace {

constexpr uint64_t kZeroChunk = 1 << 20;
constexpr int kMergeSteps = 64;

/// A node as its child sees it.
class NodeBacking final : public Backing {
 public:
  explicit NodeBacking(std::shared_ptr<Node> node) : node_(std::move(node)) {}
  uint64_t size() const override { return node_->size(); }
  void read_at(uint64_t offset, MutableBytes out) override {
    const uint64_t end = node_->size();
    const uint64_t held = offset >= end ? 0 : std::min<uint64_t>(out.size(), end - offset);
    if (held != 0) node_->read_at(offset, out.first(held));
    std::fill(out.begin() + static_cast<ptrdiff_t>(held), out.end(), std::byte{0});
  }
  bool read_at_once(uint64_t offset, MutableBytes out) override {
    const uint64_t end = node_->size();
    const uint64_t held = offset >= end ? 0 : std::min<uint64_t>(out.size(), end - offset);
    if (held != 0 && !node_->read_at_once(offset, out.first(held))) return false;
    std::fill(out.begin() + static_cast<ptrdiff_t>(held), out.end(), std::byte{0});
    return true;
  }

 private:
  const std::shared_ptr<Node> node_;
};

bool refuses_name(Errc code) { return code == Errc::not_found || code == Errc::exists || code == Errc::invalid_argument; }

}  // namespace

bool continues(const Extent& run, const Extent& next) {
  if (run.kind != next.kind || run.compressed != next.compressed || run.depth != next.depth) return false;
  if (run.host_offset.has_value() != next.host_offset.has_value()) return false;
  return !run.host_offset || (run.host_file == next.host_file && *run.host_offset + run.length == *next.host_offset);
}

Node::Node(Identity identity, std::unique_ptr<FormatImage> image, std::unique_ptr<ImageCreateContext> creation)
    : identity_(std::move(identity)), creation_(std::move(creation)), image_(std::move(image)) {}

Node::~Node() { abort(); }

template <typename Call>
auto Node::named(Call call) const -> decltype(call()) {
  try {
    return call();
  } catch (Error& error) {
    error.add_path(identity_.path);
    throw;
  }
}

/// As named(). After a failure nothing is written any more: what is on the medium is not known, nor whether the driver's memory fits it.
template <typename Call>
auto Node::last_if_it_fails(Call call) const -> decltype(call()) {
  try {
    return named(call);
  } catch (...) {
    identity_.flush_failed->store(true, std::memory_order_release);
    throw;
  }
}

void Node::set_parent(std::shared_ptr<Node> parent) {
  image_->set_backing(std::make_shared<NodeBacking>(parent));
  parent_ = std::move(parent);
}

uint64_t Node::size() const { return image_->size(); }

ImageInfo Node::info() const {
  ImageInfo info = named([&] { return image_->info(); });
  info.format = identity_.driver->info().name;
  info.path = identity_.path;
  info.virtual_size = size();
  const std::vector<std::string> kept = identity_.warnings->kept();
  info.warnings.insert(info.warnings.end(), kept.begin(), kept.end());
  return info;
}

void Node::require_range(uint64_t offset, uint64_t length, const char* operation) const {
  if (range_fits(offset, length, size())) return;
  throw Error(Errc::invalid_argument,
              "the range of " + std::to_string(length) + " bytes lies outside the disk of " + std::to_string(size()) + " bytes")
      .in(identity_.path)
      .during(operation)
      .at(offset);
}

void Node::require_writable(const char* operation) const {
  if (closed_) throw Error(Errc::permission, "the image is closed").in(identity_.path).during(operation);
  if (!identity_.writable) throw Error(Errc::permission, "the image is open for reading only").in(identity_.path).during(operation);
  if (identity_.flush_failed->load(std::memory_order_acquire)) {
    throw Error(Errc::io, "an earlier flush, repair or close failed, so what is on the medium is not known")
        .in(identity_.path)
        .during(operation)
        .hint(created() ? "make the image anew" : "open the image anew and check it");
  }
}

void Node::require_whole_chain(const char* operation) const {
  require_writable(operation);
  if (!parent_ignored_) return;
  throw Error(Errc::invalid_argument, "the image was opened without its parent, so it can't be written to")
      .in(identity_.path)
      .during(operation)
      .hint("open it with its parent");
}

void Node::read_at(uint64_t offset, MutableBytes out) {
  require_range(offset, out.size(), "read");
  if (!out.empty()) named([&] { image_->read_at(offset, out); });
}

bool Node::read_at_once(uint64_t offset, MutableBytes out) noexcept {
  if (!range_fits(offset, out.size(), size())) return false;
  try {
    return out.empty() || image_->read_at_once(offset, out);
  } catch (...) {
    return false;  // read_at() meets it again, and tells
  }
}

void Node::write_at(uint64_t offset, ConstBytes data) {
  require_whole_chain("write");
  require_range(offset, data.size(), "write");
  if (!data.empty()) named([&] { image_->write_at(offset, data); });
}

void Node::zero(uint64_t offset, uint64_t length) {
  require_whole_chain("zero");
  require_range(offset, length, "zero");
  const uint64_t unit = image_->granularity();
  const uint64_t end = offset + length;
  const uint64_t first = std::min(end, align_up(offset, unit));
  const uint64_t last = end == size() ? end : std::max(first, align_down(end, unit));
  named([&] {
    image_->require_writable(offset, length);
    zero_by_writing(offset, first - offset);
    if (last > first && !image_->zero(first, last - first)) zero_by_writing(first, last - first);
    zero_by_writing(last, end - last);
  });
}

/// Skips what reads as zeros already, so that zeroing a hole does not fill it.
void Node::zero_by_writing(uint64_t offset, uint64_t length) {
  static const std::vector<std::byte> kZeros(kZeroChunk);
  const uint64_t end = offset + length;
  while (offset < end) {
    const Extent run = chain_extent(offset, end - offset);
    uint64_t left = run.kind == ExtentKind::data ? run.length : 0;
    while (left != 0) {
      const uint64_t part = std::min(left, kZeroChunk);
      image_->write_at(offset + run.length - left, ConstBytes(kZeros).first(part));
      left -= part;
    }
    offset += run.length;
  }
}

void Node::write_zeros(uint64_t offset, uint64_t length) {
  static const std::vector<std::byte> kZeros(kZeroChunk);
  for (uint64_t done = 0; done < length; done += std::min(length - done, kZeroChunk))
    image_->write_at(offset + done, ConstBytes(kZeros).first(std::min(length - done, kZeroChunk)));
}

void Node::cover_with_zeros(uint64_t offset, uint64_t length) {
  require_whole_chain("zero");
  require_range(offset, length, "zero");
  const uint64_t unit = image_->granularity();
  const uint64_t end = offset + length;
  const uint64_t first = std::min(end, align_up(offset, unit));
  const uint64_t last = end == size() ? end : std::max(first, align_down(end, unit));
  named([&] {
    write_zeros(offset, first - offset);
    // A layer that lies over nothing takes zeros for nothing.
    if (parent_ == nullptr || last == first || !image_->zero(first, last - first)) write_zeros(first, last - first);
    write_zeros(last, end - last);
  });
}

void Node::discard(uint64_t offset, uint64_t length) {
  require_writable("discard");
  require_range(offset, length, "discard");
  const uint64_t unit = image_->granularity();
  const uint64_t end = offset + length;
  const uint64_t first = std::min(end, align_up(offset, unit));
  const uint64_t last = end == size() ? end : align_down(end, unit);
  if (last > first) named([&] { image_->discard(first, last - first); });
}

void Node::flush() {
  if (!identity_.writable) return;
  require_writable("flush");
  last_if_it_fails([&] { image_->flush(); });
}

void Node::resize(uint64_t size) {
  require_whole_chain("resize");
  const uint64_t old_size = this->size();
  if (size > identity_.limits.virtual_size) {
    throw Error(Errc::limit, "a disk of " + std::to_string(size) + " bytes is larger than allowed").in(identity_.path).during("resize");
  }
  if (size == old_size) return;
  named([&] { image_->resize(size); });
  // What is new reads as zeros, though a larger parent has data there.
  if (parent_ != nullptr && size > old_size && parent_->size() > old_size) zero(old_size, std::min(size, parent_->size()) - old_size);
}

/// One run of the topmost layer that holds it, at most `limit` long.
Extent Node::chain_extent(uint64_t offset, uint64_t limit) {
  uint32_t depth = 0;
  for (Node* node = this;; node = node->parent_.get(), ++depth) {
    Extent run = node->named([&] { return node->image_->extent_at(offset, std::min(limit, node->size() - offset)); });
    if (run.length == 0) throw Error(Errc::corrupt, "the file became shorter while it was read").in(node->identity_.path).at(offset);
    limit = std::min(limit, run.length);
    const bool below = run.kind == ExtentKind::absent && node->parent_ != nullptr && offset < node->parent_->size();
    if (below) continue;
    run.length = limit;
    run.depth = run.kind == ExtentKind::absent ? 0 : depth;
    return run;
  }
}

Extent Node::extent_at(uint64_t offset) {
  require_range(offset, 1, "map");
  const uint64_t end = size();
  Extent run = chain_extent(offset, end - offset);
  for (int step = 0; step < kMergeSteps && run.offset + run.length < end; ++step) {
    const uint64_t next_offset = run.offset + run.length;
    const Extent next = chain_extent(next_offset, end - next_offset);
    if (!continues(run, next)) break;
    run.length += next.length;
  }
  return run;
}

Extent Node::layer_extent_at(uint64_t offset) {
  require_range(offset, 1, "map");
  const Extent run = named([&] { return image_->extent_at(offset, size() - offset); });
  if (run.length == 0) throw Error(Errc::corrupt, "the file became shorter while it was read").in(identity_.path).at(offset);
  return run;
}

void Node::check_new_parent(const CreateContext::Parent* parent) const {
  require_writable("rebase");
  named([&] { image_->check_new_parent(parent); });
}

void Node::change_parent(const CreateContext::Parent* parent) {
  require_writable("rebase");
  last_if_it_fails([&] { image_->change_parent(parent); });
}

void Node::renew_parent(const std::string& identity) {
  require_writable("commit");
  last_if_it_fails([&] { image_->renew_parent(identity); });
}

std::string Node::announce_change() {
  require_whole_chain("commit");
  return named([&] {
    image_->require_writable(0, size());
    return last_if_it_fails([&] { return image_->announce_change(); });
  });
}

CheckReport Node::check(const CheckOptions& options) {
  if (options.repair == Repair::none) return named([&] { return image_->check(options); });
  require_writable("repair");
  return last_if_it_fails([&] { return image_->check(options); });
}

Error Node::has_none(const char* of_what, const char* operation) const {
  return Error(Errc::unsupported, "format " + std::string(identity_.driver->info().name) + " has no " + of_what)
      .in(identity_.path)
      .during(operation)
      .hint("convert the image to a format that has");
}

Snapshots& Node::require_snapshots(const char* operation) {
  if (Snapshots* all = image_->snapshots()) return *all;
  throw has_none("snapshots", operation);
}

std::vector<SnapshotInfo> Node::snapshots() {
  return named([&] { return require_snapshots("list snapshots").list(); });
}

bool Node::snapshot_is_held(const std::string& name) {
  return named([&] { return require_snapshots("look at a snapshot").held(name); });
}

void Node::diff_snapshots(const std::string& from, const std::string& to, const std::function<void(const Extent&)>& visit) {
  named([&] { require_snapshots("compare snapshots").diff(from, to, visit); });
}

void Node::change_snapshots(const char* operation, const std::function<void(Snapshots&)>& change) {
  Snapshots& all = require_snapshots(operation);
  require_whole_chain(operation);
  change_catalog([&] { change(all); }, refuses_name);
}

Attachments& Node::require_attachments(const char* operation) {
  if (Attachments* all = image_->attachments()) return *all;
  throw has_none("attachments", operation);
}

std::vector<AttachmentInfo> Node::attachments() {
  return named([&] { return require_attachments("list attachments").list(); });
}

void Node::read_attachment(const AttachmentKey& key, uint64_t offset, MutableBytes out) {
  named([&] { require_attachments("read an attachment").read(key, offset, out); });
}

void Node::change_attachments(const char* operation, const std::function<void(Attachments&)>& change) {
  Attachments& all = require_attachments(operation);
  require_whole_chain(operation);
  change_catalog([&] { change(all); }, refuses_name);
}

Keys& Node::require_keys(const char* operation) {
  if (Keys* all = image_->keys()) return *all;
  throw Error(Errc::unsupported, "the image is not encrypted, so it has no keys")
      .in(identity_.path)
      .during(operation)
      .hint("convert it into an encrypted one");
}

std::vector<KeySlotInfo> Node::key_slots() {
  return named([&] { return require_keys("list keys").list(); });
}

void Node::change_keys(const char* operation, const std::function<void(Keys&)>& change) {
  Keys& all = require_keys(operation);
  require_writable(operation);
  named([&] { change(all); });
}

void Node::rotate_key(const RotateOptions& options) {
  Keys& all = require_keys("rotate the key");
  require_writable("rotate the key");
  change_catalog([&] { all.rotate(options); }, [](Errc code) { return refuses_name(code) || code == Errc::authentication; });
}

/// `refuses`: is that the error of a change of which nothing was done?
void Node::change_catalog(const std::function<void()>& change, bool (*refuses)(Errc)) {
  try {
    named(change);
  } catch (const Error& error) {
    if (!refuses(error.code())) identity_.flush_failed->store(true, std::memory_order_release);
    throw;
  } catch (...) {  // for want of memory, half way
    identity_.flush_failed->store(true, std::memory_order_release);
    throw;
  }
}

void Node::close() {
  if (closed_) return;
  if (!identity_.writable) {
    closed_ = true;
    return;
  }
  require_writable("close");
  if (creation_ == nullptr) {
    flush();
    named([&] { image_->close(); });
  } else {
    // A created image becomes durable as a whole. Its end is written once: half of one is not a place to begin again.
    last_if_it_fails([&] {
      image_->close();
      creation_->publish();
    });
  }
  closed_ = true;
}

void Node::abort() noexcept {
  if (closed_) return;
  closed_ = true;
  image_->abort();
}

}  // namespace varve
