#include "io/memory_file_system.h"

#include <algorithm>
#include <utility>

#include "io/path.h"

namespace varve {

namespace {

/// Without empty components, "." and "..". An empty result: `..` led above the start.
std::string normal_path(const std::string& path) {
  std::vector<std::string> parts;
  bool above = false;
  for (size_t at = 0; at <= path.size();) {
    const size_t slash = std::min(path.find('/', at), path.size());
    const std::string part = path.substr(at, slash - at);
    at = slash + 1;
    if (part.empty() || part == ".") continue;
    if (part != "..") {
      parts.push_back(part);
    } else if (parts.empty()) {
      above = true;
    } else {
      parts.pop_back();
    }
  }
  if (above) return {};
  std::string result;
  for (const std::string& part : parts) result += (result.empty() && !path.starts_with('/') ? "" : "/") + part;
  return result;
}

/// One opening of a file: it has the right that was asked for.
class Handle final : public Storage {
 public:
  Handle(std::string name, std::shared_ptr<MemoryStorage> file, bool writable)
      : name_(std::move(name)), file_(std::move(file)), writable_(writable) {}

  const std::string& name() const noexcept override { return name_; }
  uint64_t size() const override { return file_->size(); }
  void read_at(uint64_t offset, MutableBytes out) override { file_->read_at(offset, out); }
  void write_at(uint64_t offset, ConstBytes data) override {
    check_writable();
    file_->write_at(offset, data);
  }
  void flush() override { file_->flush(); }
  void resize(uint64_t size) override {
    check_writable();
    file_->resize(size);
  }
  StorageExtent extent_at(uint64_t offset) override { return file_->extent_at(offset); }
  bool punch_hole(uint64_t offset, uint64_t length) override {
    check_writable();
    return file_->punch_hole(offset, length);
  }
  std::optional<StorageId> id() const override { return file_->id(); }
  std::optional<uint64_t> allocated_bytes() const override { return file_->allocated_bytes(); }
  StorageLimits limits() const override { return file_->limits(); }

 private:
  void check_writable() const {
    if (!writable_) throw Error(Errc::permission, "it is open for reading only").in(name_).during("write");
  }

  const std::string name_;
  const std::shared_ptr<MemoryStorage> file_;
  const bool writable_;
};

Error taken(const std::string& path) { return Error(Errc::exists, "a file of that name exists already").in(path); }

}  // namespace

class MemoryFileSystem::Pending final : public PendingFile {
 public:
  Pending(MemoryFileSystem& owner, std::string path, bool replace)
      : owner_(owner),
        path_(std::move(path)),
        key_(normal_path(path_)),
        replace_(replace),
        file_(std::make_shared<MemoryStorage>(path_, owner.capacity_)),
        storage_(file_) {}
  const std::shared_ptr<Storage>& storage() const override { return storage_; }
  void publish(Naming /*naming*/) override {
    owner_.publish(path_, file_, replace_);
    published_ = true;
  }
  void withdraw() noexcept override {
    if (published_) owner_.erase(key_);
    published_ = false;
  }

 private:
  MemoryFileSystem& owner_;
  const std::string path_;
  const std::string key_;  ///< of the map of files: withdraw() takes no memory
  const bool replace_;
  const std::shared_ptr<MemoryStorage> file_;
  const std::shared_ptr<Storage> storage_;
  bool published_ = false;
};

MemoryFileSystem::~MemoryFileSystem() = default;

std::shared_ptr<Storage> MemoryFileSystem::open(const std::string& path, const FileOpen& how) {
  record("open", path);
  return open_file(path, how);
}

std::shared_ptr<Storage> MemoryFileSystem::open_beneath(const std::string& directory, const std::string& name, const FileOpen& how) {
  if (name.starts_with('/') || normal_path(name).empty())
    throw Error(Errc::permission, "only a regular file inside the directory may be opened").in(join_path(directory, name)).during("open");
  record("open_beneath", join_path(directory, name));
  return open_file(join_path(directory, name), how);
}

std::shared_ptr<Storage> MemoryFileSystem::open_file(const std::string& path, const FileOpen& how) {
  std::shared_ptr<MemoryStorage> file = find(path);
  if (file == nullptr) throw Error(Errc::not_found, "cannot open").in(path).during("open").caused_by("No such file or directory");
  return std::make_shared<Handle>(path, std::move(file), how.access == Access::read_write);
}

std::unique_ptr<PendingFile> MemoryFileSystem::create(const std::string& path, const FileCreate& how) {
  record("create", path);
  if (!how.replace && find(path) != nullptr) throw taken(path);
  return std::make_unique<Pending>(*this, path, how.replace);
}

void MemoryFileSystem::publish(const std::string& path, const std::shared_ptr<MemoryStorage>& storage, bool replace) {
  record("publish", path);
  const std::lock_guard lock(mutex_);
  if (!replace && files_.contains(normal_path(path))) throw taken(path);
  files_[normal_path(path)] = storage;
}

std::shared_ptr<MemoryStorage> MemoryFileSystem::add(const std::string& path, ConstBytes contents) {
  auto storage = std::make_shared<MemoryStorage>(path, contents);
  add(path, storage);
  return storage;
}

void MemoryFileSystem::add(const std::string& path, std::shared_ptr<MemoryStorage> storage) {
  const std::lock_guard lock(mutex_);
  files_[normal_path(path)] = std::move(storage);
}

std::shared_ptr<MemoryStorage> MemoryFileSystem::find(const std::string& path) const {
  const std::lock_guard lock(mutex_);
  const auto file = files_.find(normal_path(path));
  return file == files_.end() ? nullptr : file->second;
}

void MemoryFileSystem::remove(const std::string& path) { erase(normal_path(path)); }

void MemoryFileSystem::erase(const std::string& key) noexcept {
  const std::lock_guard lock(mutex_);
  files_.erase(key);
}

std::vector<std::string> MemoryFileSystem::paths() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> result;
  for (const auto& [path, file] : files_) result.push_back(path);
  return result;
}

std::vector<MemoryFileSystem::Call> MemoryFileSystem::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

void MemoryFileSystem::forget_calls() {
  const std::lock_guard lock(mutex_);
  calls_.clear();
}

void MemoryFileSystem::record(const char* operation, const std::string& path) {
  const std::lock_guard lock(mutex_);
  calls_.push_back({operation, path});
}

}  // namespace varve
