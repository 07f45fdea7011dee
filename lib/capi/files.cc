// Files that are no paths: descriptors, and the caller's functions.
#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/checked_math.h"
#include "capi/handles.h"
#include "io/host_error.h"
#include "io/path.h"
#include "io/posix_storage.h"

namespace varve::capi {
namespace {

class CallerStorage final : public Storage {
 public:
  CallerStorage(const varve_storage_ops& ops, void* user, std::string name) : ops_(ops), user_(user), name_(std::move(name)) {}
  ~CallerStorage() override {
    if (owned_ && ops_.release != nullptr) ops_.release(user_);
  }
  CallerStorage(const CallerStorage&) = delete;
  CallerStorage& operator=(const CallerStorage&) = delete;

  /// From now on `release` is called at the end.
  void own() { owned_ = true; }

  const std::string& name() const noexcept override { return name_; }
  uint64_t size() const override {
    uint64_t size = 0;
    check(ops_.size(user_, &size), "cannot ask for its size", "size", std::nullopt);
    return size;
  }
  void read_at(uint64_t offset, MutableBytes out) override {
    if (out.empty()) return;
    const int failed = ops_.read(user_, offset, out.data(), out.size());
    if (failed == EPIPE) throw Error(Errc::corrupt, "the file ends too early").in(name_).at(offset).during("read");
    check(failed, "cannot read", "read", offset);
  }
  void write_at(uint64_t offset, ConstBytes data) override {
    if (ops_.write == nullptr) throw Error(Errc::permission, "the storage cannot be written to").in(name_).at(offset).during("write");
    if (!data.empty()) check(ops_.write(user_, offset, data.data(), data.size()), "cannot write", "write", offset);
  }
  void flush() override {
    if (ops_.flush != nullptr) check(ops_.flush(user_), "cannot make the data durable", "flush", std::nullopt);
  }
  void resize(uint64_t size) override {
    if (ops_.resize == nullptr) throw Error(Errc::unsupported, "the storage cannot be resized").in(name_).during("resize");
    check(ops_.resize(user_, size), "cannot resize", "resize", std::nullopt);
  }
  StorageExtent extent_at(uint64_t offset) override {
    if (ops_.extent == nullptr) return Storage::extent_at(offset);
    uint64_t length = 0;
    int hole = 0;
    check(ops_.extent(user_, offset, &length, &hole), "cannot ask where its data are", "extent", offset);
    if (length == 0) return Storage::extent_at(offset);
    const uint64_t end = size();
    return {offset, std::min(length, end > offset ? end - offset : length), hole != 0};
  }
  bool punch_hole(uint64_t offset, uint64_t length) override {
    if (ops_.punch == nullptr) return false;
    const uint64_t end = size();
    if (offset >= end || length == 0) return true;
    const int failed = ops_.punch(user_, offset, std::min(length, end - offset));
    if (failed == EOPNOTSUPP) return false;
    check(failed, "cannot free a range", "punch", offset);
    return true;
  }
  StorageLimits limits() const override { return {4096, ops_.resize == nullptr, ops_.punch != nullptr}; }

 private:
  void check(int failed, const char* what, const char* operation, std::optional<uint64_t> offset) const {
    if (failed == 0) return;
    Error error = host_error(failed, what).in(name_).during(operation);
    if (offset) throw std::move(error).at(*offset);
    throw Error(std::move(error));
  }

  const varve_storage_ops ops_;
  void* const user_;
  const std::string name_;
  bool owned_ = false;
};

unsigned flags_of(const FileOpen& how) { return how.access == Access::read_write ? unsigned{VARVE_RESOLVE_WRITE} : 0; }

/// The main file, and others by the caller's resolver.
class CallerFiles final : public FileSystem {
 public:
  CallerFiles(std::shared_ptr<Storage> main, varve_resolve_fn* resolve, void* user)
      : main_(std::move(main)), resolve_(resolve), user_(user) {}

  std::shared_ptr<Storage> open(const std::string& path, const FileOpen& how) override {
    return path == main_->name() ? main_ : found(path, flags_of(how));
  }
  std::shared_ptr<Storage> open_beneath(const std::string& /*directory*/, const std::string& name, const FileOpen& how) override {
    return found(name, flags_of(how));
  }
  std::unique_ptr<PendingFile> create(const std::string& path, const FileCreate& /*how*/) override {
    return std::make_unique<Pending>(path == main_->name() ? main_ : found(base_name_of(path), VARVE_RESOLVE_WRITE | VARVE_RESOLVE_CREATE));
  }

 private:
  /// The caller gives it its name.
  class Pending final : public PendingFile {
   public:
    explicit Pending(std::shared_ptr<Storage> storage) : storage_(std::move(storage)) {}
    const std::shared_ptr<Storage>& storage() const override { return storage_; }
    void publish(Naming /*naming*/) override {}
    void withdraw() noexcept override {}

   private:
    const std::shared_ptr<Storage> storage_;
  };

  std::shared_ptr<Storage> found(const std::string& name, unsigned flags) const {
    if (resolve_ == nullptr)
      throw Error(Errc::permission, "another file is needed, and there is no way to it").in(name).hint("set a resolver");
    varve_storage* storage = nullptr;
    const int failed = resolve_(user_, name.c_str(), flags, &storage);
    const std::unique_ptr<varve_storage> handle(storage);
    if (failed != 0) throw host_error(failed, "cannot open").in(name).during("resolve");
    if (handle == nullptr) throw Error(Errc::invalid_argument, "the resolver gave no storage").in(name);
    return handle->storage;
  }

  const std::shared_ptr<Storage> main_;
  varve_resolve_fn* const resolve_;
  void* const user_;
};

/// As much of it as the caller knew when it was compiled.
varve_storage_ops known_part(const varve_storage_ops& given) {
  varve_storage_ops ops = {};
  if (given.struct_size < offsetof(varve_storage_ops, resize)) throw Error(Errc::invalid_argument, "struct_size is not set");
  std::memcpy(&ops, &given, std::min(given.struct_size, sizeof(ops)));
  if (ops.read == nullptr || ops.size == nullptr) throw Error(Errc::invalid_argument, "a storage needs read and size");
  if (ops.write != nullptr && ops.flush == nullptr) throw Error(Errc::invalid_argument, "a storage that is written to needs flush");
  return ops;
}

}  // namespace

std::unique_ptr<FileSystem> files_around(std::shared_ptr<Storage> main, const varve_options& options) {
  return std::make_unique<CallerFiles>(std::move(main), options.resolve, options.resolve_user);
}

}  // namespace varve::capi

using namespace varve;

int varve_storage_from_fd(int fd, const char* name, const char* cache, varve_storage** storage, varve_error** error) {
  return capi::guarded(error, [&] {
    varve_storage*& place = capi::place_of(storage);
    const std::string shown = &capi::required(name, "the name");
    const auto [mode, durable] = capi::cache_of(cache);
    place = std::make_unique<varve_storage>(varve_storage{storage_of_descriptor(fd, shown, durable, mode)}).release();
  });
}

int varve_storage_from_ops(const varve_storage_ops* ops, void* user, const char* name, varve_storage** storage, varve_error** error) {
  return capi::guarded(error, [&] {
    varve_storage*& place = capi::place_of(storage);
    auto made = std::make_shared<capi::CallerStorage>(capi::known_part(capi::required(ops, "the functions")), user,
                                                      &capi::required(name, "the name"));
    auto handle = std::make_unique<varve_storage>(varve_storage{made});
    made->own();
    place = handle.release();
  });
}

void varve_storage_free(varve_storage* storage) { capi::give_back(storage); }
