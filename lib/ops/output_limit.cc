#include "ops/output_limit.h"

#include <atomic>
#include <utility>

namespace varve::ops {

namespace {

/// What may still be written, shared by all files of an image.
class Allowance {
 public:
  explicit Allowance(uint64_t bytes) : all_(bytes), left_(bytes) {}

  bool try_to_take(uint64_t bytes) {
    uint64_t left = left_.load(std::memory_order_relaxed);
    do {
      if (bytes > left) return false;
    } while (!left_.compare_exchange_weak(left, left - bytes, std::memory_order_relaxed));
    return true;
  }
  void take(uint64_t bytes, const std::string& name) {
    if (try_to_take(bytes)) return;
    throw Error(Errc::limit, "the output needs more than the " + std::to_string(all_) + " bytes that are allowed")
        .in(name)
        .hint("raise --max-output-bytes");
  }
  void give_back(uint64_t bytes) { left_.fetch_add(bytes, std::memory_order_relaxed); }

 private:
  const uint64_t all_;
  std::atomic<uint64_t> left_;
};

class LimitedStorage final : public Storage {
 public:
  LimitedStorage(std::shared_ptr<Storage> inner, std::shared_ptr<Allowance> allowance)
      : inner_(std::move(inner)), allowance_(std::move(allowance)) {}

  const std::string& name() const noexcept override { return inner_->name(); }
  uint64_t size() const override { return inner_->size(); }
  void read_at(uint64_t offset, MutableBytes out) override { inner_->read_at(offset, out); }
  void write_at(uint64_t offset, ConstBytes data) override {
    allowance_->take(data.size(), name());
    inner_->write_at(offset, data);
  }
  void flush() override { inner_->flush(); }
  void resize(uint64_t size) override { inner_->resize(size); }
  StorageExtent extent_at(uint64_t offset) override { return inner_->extent_at(offset); }
  bool punch_hole(uint64_t offset, uint64_t length) override { return inner_->punch_hole(offset, length); }
  bool reserve(uint64_t offset, uint64_t length) override {
    allowance_->take(length, name());
    allowance_->give_back(length);  // what is written there counts
    return inner_->reserve(offset, length);
  }
  uint64_t copy_from(Storage& source, uint64_t source_offset, uint64_t offset, uint64_t length) override {
    // What may not be copied as a whole is read and written: of that, zeros don't count.
    if (!allowance_->try_to_take(length)) return 0;
    const uint64_t copied = inner_->copy_from(source, source_offset, offset, length);
    allowance_->give_back(length - copied);
    return copied;
  }
  std::optional<StorageId> id() const override { return inner_->id(); }
  std::optional<uint64_t> allocated_bytes() const override { return inner_->allocated_bytes(); }
  std::optional<uint32_t> mode() const override { return inner_->mode(); }
  StorageLimits limits() const override { return inner_->limits(); }

 private:
  const std::shared_ptr<Storage> inner_;
  const std::shared_ptr<Allowance> allowance_;
};

class LimitedFile final : public PendingFile {
 public:
  LimitedFile(std::unique_ptr<PendingFile> inner, std::shared_ptr<Allowance> allowance)
      : inner_(std::move(inner)), storage_(std::make_shared<LimitedStorage>(inner_->storage(), std::move(allowance))) {}
  const std::shared_ptr<Storage>& storage() const override { return storage_; }
  void publish(Naming naming) override { inner_->publish(naming); }
  void withdraw() noexcept override { inner_->withdraw(); }

 private:
  const std::unique_ptr<PendingFile> inner_;
  const std::shared_ptr<Storage> storage_;
};

class LimitedFileSystem final : public FileSystem {
 public:
  LimitedFileSystem(FileSystem& inner, uint64_t bytes) : inner_(inner), allowance_(std::make_shared<Allowance>(bytes)) {}

  std::shared_ptr<Storage> open(const std::string& path, const FileOpen& how) override { return limited(inner_.open(path, how)); }
  std::shared_ptr<Storage> open_beneath(const std::string& directory, const std::string& name, const FileOpen& how) override {
    return limited(inner_.open_beneath(directory, name, how));
  }
  std::unique_ptr<PendingFile> create(const std::string& path, const FileCreate& how) override {
    return std::make_unique<LimitedFile>(inner_.create(path, how), allowance_);
  }

 private:
  std::shared_ptr<Storage> limited(std::shared_ptr<Storage> storage) const {
    return std::make_shared<LimitedStorage>(std::move(storage), allowance_);
  }

  FileSystem& inner_;
  const std::shared_ptr<Allowance> allowance_;
};

}  // namespace

std::shared_ptr<Storage> limit_output(std::shared_ptr<Storage> storage, uint64_t bytes) {
  return std::make_shared<LimitedStorage>(std::move(storage), std::make_shared<Allowance>(bytes));
}

std::unique_ptr<FileSystem> limit_output(FileSystem& files, uint64_t bytes) { return std::make_unique<LimitedFileSystem>(files, bytes); }

}  // namespace varve::ops
