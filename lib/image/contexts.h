// What drivers are given: files by policy, limits, a place for warnings.
#ifndef VARVE_IMAGE_CONTEXTS_H
#define VARVE_IMAGE_CONTEXTS_H

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "image/driver.h"
#include "image/flush_guard.h"
#include "io/file_system.h"

namespace varve {

/// What the caller gave, or the host's.
inline FileSystem& file_system_of(FileSystem* given) { return given != nullptr ? *given : host_file_system(); }
inline RandomSource& random_of(RandomSource* given) { return given != nullptr ? *given : system_random(); }

/// Hands warnings to the user one at a time and keeps the first of them for info(). Thread-safe.
class Warnings {
 public:
  explicit Warnings(WarningFn show) : show_(std::move(show)) {}
  void add(const std::string& line);
  std::vector<std::string> kept() const;

 private:
  static constexpr size_t kMaxKept = 100;
  const WarningFn show_;
  mutable std::mutex mutex_;  // covers kept_ and the call of show_
  std::vector<std::string> kept_;
};

/// How the files of an image are opened.
struct Host {
  FileSystem* file_system = nullptr;
  References references = References::inside;
  FileOpen how;
  RandomSource* random = nullptr;
  SnapshotChoice snapshot = {};  ///< of the layer that is opened
  bool for_check = false;        ///< of the topmost layer
  Unlock unlock = {};
};

class ImageOpenContext final : public OpenContext {
 public:
  ImageOpenContext(Host host, std::shared_ptr<Storage> file, const Limits& limits, Warnings& warnings);

  const std::string& path() const override { return file_->name(); }
  const Limits& limits() const override { return limits_; }
  void warn(const std::string& line) override { warnings_.add(line); }
  RandomSource& random() override { return *host_.random; }
  const std::shared_ptr<Storage>& file() const override { return file_; }
  bool writable() const override { return host_.how.access == Access::read_write; }
  const SnapshotChoice& snapshot() const override { return host_.snapshot; }
  bool for_check() const override { return host_.for_check; }
  const Unlock& unlock() const override { return host_.unlock; }
  std::shared_ptr<Storage> open_reference(const std::string& name, bool device) override;

  /// Becomes true when a flush of any of the image's files fails.
  const FlushFailed& flush_failed() const { return flush_failed_; }

 private:
  std::shared_ptr<Storage> guarded(std::shared_ptr<Storage> file) const;

  const Host host_;
  const FlushFailed flush_failed_ = std::make_shared<std::atomic<bool>>(false);
  const std::shared_ptr<Storage> file_;
  const Limits& limits_;
  Warnings& warnings_;
};

/// The files of an image in the making. Lives as long as the image; nothing bears a name before publish().
class ImageCreateContext final : public CreateContext {
 public:
  ImageCreateContext(std::string path, uint64_t size, OptionValues options, const CreateOptions& how, FileSystem& file_system,
                     std::shared_ptr<Warnings> warnings);

  /// The image goes down a pipe instead of into a file.
  void use_stream(std::shared_ptr<Storage> pipe) { stream_ = std::move(pipe); }
  void set_parent(Parent parent) { parent_ = std::move(parent); }

  const std::string& path() const override { return path_; }
  const Limits& limits() const override { return limits_; }
  void warn(const std::string& line) override { warnings_->add(line); }
  RandomSource& random() override { return random_; }
  uint64_t size() const override { return size_; }
  const OptionValues& options() const override { return options_; }
  const SecretProvider& secret() const override { return secret_; }
  const std::shared_ptr<Storage>& file() override;
  std::shared_ptr<Storage> add_file(const std::string& name) override;
  bool streaming() const override { return stream_ != nullptr; }
  const Parent* parent() const override { return parent_ ? &*parent_ : nullptr; }
  /// Becomes true when a flush of any of the image's files fails.
  const FlushFailed& flush_failed() const { return flush_failed_; }

  /// Makes the files durable and gives them their names, the one named by the user last.
  void publish();

 private:
  const std::string path_;
  const uint64_t size_;
  const OptionValues options_;
  const SecretProvider secret_;
  const FileCreate how_;
  const Limits limits_;
  FileSystem& file_system_;
  RandomSource& random_;
  const std::shared_ptr<Warnings> warnings_;
  std::shared_ptr<Storage> stream_;
  std::optional<Parent> parent_;
  const FlushFailed flush_failed_ = std::make_shared<std::atomic<bool>>(false);

  /// A file that has no name yet, and the way to it.
  struct Unpublished {
    std::unique_ptr<PendingFile> file;
    std::shared_ptr<Storage> guarded;
  };
  Unpublished create(const std::string& path) const;
  Unpublished main_;
  std::vector<Unpublished> further_;
};

}  // namespace varve

#endif
