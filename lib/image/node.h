// A layer in use: the driver's image behind the one place where the contract of every call is checked.
#ifndef VARVE_IMAGE_NODE_H
#define VARVE_IMAGE_NODE_H

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "image/contexts.h"
#include "image/driver.h"

namespace varve {

/// Do two runs that follow each other in a disk make one?
bool continues(const Extent& run, const Extent& next);

/// Errors that leave a node name its file. Thread-safe as Image is.
class Node {
 public:
  struct Identity {
    const FormatDriver* driver = nullptr;
    std::string path;
    bool writable = false;
    Limits limits;
    std::shared_ptr<Warnings> warnings;
    FlushFailed flush_failed = std::make_shared<std::atomic<bool>>(false);  ///< after that nothing may be written (WRT-11)
  };

  Node(Identity identity, std::unique_ptr<FormatImage> image, std::unique_ptr<ImageCreateContext> creation = nullptr);
  ~Node();  ///< gives up what was not closed
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// The layer below. Set once, before any I/O.
  void set_parent(std::shared_ptr<Node> parent);
  /// Leaves the layer below out, if there is one: this layer can then be read and repaired, but not written to, because what a new
  /// block lacks would be lost under zeros.
  void ignore_parent() { parent_ignored_ = image_->parent().has_value(); }
  Node* parent() const { return parent_.get(); }

  const FormatDriver& driver() const { return *identity_.driver; }
  const std::string& path() const { return identity_.path; }
  bool writable() const { return identity_.writable; }
  bool created() const { return creation_ != nullptr; }  ///< in the making: reads as zeros or as its parent but for what was written
  bool streaming() const { return creation_ != nullptr && creation_->streaming(); }
  const Limits& limits() const { return identity_.limits; }
  FormatImage& image() { return *image_; }

  uint64_t size() const;
  ImageInfo info() const;
  void read_at(uint64_t offset, MutableBytes out);
  /// As FormatImage says; false also for what read_at() would refuse.
  bool read_at_once(uint64_t offset, MutableBytes out) noexcept;
  void write_at(uint64_t offset, ConstBytes data);
  void zero(uint64_t offset, uint64_t length);
  void discard(uint64_t offset, uint64_t length);
  /// As zero(), and the range reads as zeros over any other parent, too.
  void cover_with_zeros(uint64_t offset, uint64_t length);
  void flush();
  void resize(uint64_t size);
  Extent extent_at(uint64_t offset);
  /// The run of this layer alone.
  Extent layer_extent_at(uint64_t offset);
  // As FormatImage says. After a failure nothing is written any more.
  void check_new_parent(const CreateContext::Parent* parent) const;
  void change_parent(const CreateContext::Parent* parent);
  void renew_parent(const std::string& identity);
  std::string announce_change();
  CheckReport check(const CheckOptions& options);
  std::vector<SnapshotInfo> snapshots();
  std::vector<AttachmentInfo> attachments();
  void read_attachment(const AttachmentKey& key, uint64_t offset, MutableBytes out);
  void change_attachments(const char* operation, const std::function<void(Attachments&)>& change);
  bool snapshot_is_held(const std::string& name);
  void diff_snapshots(const std::string& from, const std::string& to, const std::function<void(const Extent&)>& visit);
  std::vector<KeySlotInfo> key_slots();
  /// What fails has changed nothing, or the format writes nothing any more.
  void change_keys(const char* operation, const std::function<void(Keys&)>& change);
  void rotate_key(const RotateOptions& options);
  /// After a failure nothing is written any more, unless it was the name that could not be.
  void change_snapshots(const char* operation, const std::function<void(Snapshots&)>& change);
  void close();
  void abort() noexcept;

 private:
  template <typename Call>
  auto named(Call call) const -> decltype(call());
  template <typename Call>
  auto last_if_it_fails(Call call) const -> decltype(call());
  void require_range(uint64_t offset, uint64_t length, const char* operation) const;
  void require_writable(const char* operation) const;
  void require_whole_chain(const char* operation) const;
  Error has_none(const char* of_what, const char* operation) const;
  Snapshots& require_snapshots(const char* operation);
  Keys& require_keys(const char* operation);
  Attachments& require_attachments(const char* operation);
  void change_catalog(const std::function<void()>& change, bool (*refuses)(Errc));
  void zero_by_writing(uint64_t offset, uint64_t length);
  void write_zeros(uint64_t offset, uint64_t length);
  Extent chain_extent(uint64_t offset, uint64_t limit);

  const Identity identity_;
  const std::unique_ptr<ImageCreateContext> creation_;  // outlives image_, which writes to its files
  const std::unique_ptr<FormatImage> image_;
  std::shared_ptr<Node> parent_;
  bool parent_ignored_ = false;
  bool closed_ = false;
};

}  // namespace varve

#endif
