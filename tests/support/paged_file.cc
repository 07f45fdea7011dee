#include "support/paged_file.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <mutex>

#include "base/checked_math.h"
#include "io/path.h"
#include "varve/error.h"

namespace varve::test {

namespace {

constexpr std::array<std::byte, PagedFile::kPageSize> kZeros{};

bool all_zeros(ConstBytes bytes) { return std::memcmp(bytes.data(), kZeros.data(), bytes.size()) == 0; }

/// One opening of a file, with the right that was asked for. Thread-safe, as storages are; two openings are not used at once.
class Handle final : public Storage {
 public:
  Handle(std::string name, std::shared_ptr<PagedFile> file, bool writable)
      : name_(std::move(name)), file_(std::move(file)), writable_(writable) {}

  const std::string& name() const noexcept override { return name_; }
  uint64_t size() const override {
    const std::lock_guard lock(mutex_);
    return file_->size();
  }
  void read_at(uint64_t offset, MutableBytes out) override {
    if (!range_fits(offset, out.size(), size())) throw Error(Errc::corrupt, "the file ends too early").in(name_).at(offset);
    const std::lock_guard lock(mutex_);
    file_->read(offset, out);
  }
  void write_at(uint64_t offset, ConstBytes data) override {
    check_writable();
    const std::lock_guard lock(mutex_);
    file_->write(offset, data);
  }
  void flush() override {}
  void resize(uint64_t size) override {
    check_writable();
    const std::lock_guard lock(mutex_);
    file_->resize(size);
  }
  StorageExtent extent_at(uint64_t offset) override {
    const std::lock_guard lock(mutex_);
    return file_->extent_at(offset);
  }
  bool punch_hole(uint64_t offset, uint64_t length) override {
    check_writable();
    const std::lock_guard lock(mutex_);
    if (offset < file_->size()) file_->clear(offset, std::min(length, file_->size() - offset));
    return true;
  }
  std::optional<StorageId> id() const override { return StorageId{UINT64_MAX, reinterpret_cast<uintptr_t>(file_.get())}; }
  StorageLimits limits() const override { return {static_cast<uint32_t>(PagedFile::kPageSize), false, true}; }

 private:
  void check_writable() const {
    if (!writable_) throw Error(Errc::permission, "it is open for reading only").in(name_).during("write");
  }

  const std::string name_;
  const std::shared_ptr<PagedFile> file_;
  const bool writable_;
  mutable std::mutex mutex_;
};

}  // namespace

PagedFile::Hash hash_of(const void* data, size_t length) {
  const XXH128_hash_t digest = XXH3_128bits(data, length);
  return {digest.high64, digest.low64};
}

// ---- one file ------------------------------------------------------------------------------------

void PagedFile::resize(uint64_t size) {
  if (size < size_) {
    const uint64_t within = size % kPageSize;
    if (within != 0) clear(size, std::min(size_ - size, kPageSize - within));
  }
  size_ = size;
  pages_.resize(static_cast<size_t>(div_ceil(size, kPageSize)));
}

void PagedFile::read(uint64_t offset, MutableBytes out) const {
  while (!out.empty()) {
    const size_t within = static_cast<size_t>(offset % kPageSize);
    const size_t n = std::min(out.size(), kPageSize - within);
    const Page* page = pages_[static_cast<size_t>(offset / kPageSize)].get();
    std::memcpy(out.data(), page == nullptr ? kZeros.data() : page->bytes.data() + within, n);
    out = out.subspan(n);
    offset += n;
  }
}

void PagedFile::write(uint64_t offset, ConstBytes data) {
  if (!data.empty() && offset + data.size() > size_) resize(offset + data.size());
  while (!data.empty()) {
    const size_t n = std::min(data.size(), kPageSize - static_cast<size_t>(offset % kPageSize));
    write_in_page(offset, data.first(n));
    data = data.subspan(n);
    offset += n;
  }
}

void PagedFile::clear(uint64_t offset, uint64_t length) {
  while (length > 0) {
    const size_t n = static_cast<size_t>(std::min<uint64_t>(length, kPageSize - offset % kPageSize));
    write_in_page(offset, ConstBytes(kZeros).first(n));
    length -= n;
    offset += n;
  }
}

void PagedFile::write_in_page(uint64_t offset, ConstBytes data) {
  std::shared_ptr<Page>& page = pages_[static_cast<size_t>(offset / kPageSize)];
  const size_t within = static_cast<size_t>(offset % kPageSize);
  const bool zeros = all_zeros(data);
  if (zeros && (page == nullptr || data.size() == kPageSize)) {
    page = nullptr;
    return;
  }
  if (page == nullptr) {
    page = std::make_shared<Page>();
  } else if (page.use_count() != 1) {
    page = std::make_shared<Page>(*page);
  }
  std::memcpy(page->bytes.data() + within, data.data(), data.size());
  page->hashed = false;
}

StorageExtent PagedFile::extent_at(uint64_t offset) const {
  if (offset >= size_) return {offset, 0, true};
  size_t index = static_cast<size_t>(offset / kPageSize);
  const bool hole = pages_[index] == nullptr;
  while (index < pages_.size() && (pages_[index] == nullptr) == hole) ++index;
  return {offset, std::min<uint64_t>(size_, uint64_t{index} * kPageSize) - offset, hole};
}

std::vector<std::byte> PagedFile::contents() const {
  std::vector<std::byte> all(static_cast<size_t>(size_));
  read(0, all);
  return all;
}

PagedFile::Hash PagedFile::hash() const {
  static const Hash of_zeros = hash_of(kZeros.data(), kZeros.size());
  std::vector<Hash> hashes{{size_, 0}};
  hashes.reserve(pages_.size() + 1);
  for (const auto& page : pages_) {
    if (page != nullptr && !page->hashed) {
      page->hash = hash_of(page->bytes.data(), page->bytes.size());
      page->hashed = true;
    }
    hashes.push_back(page == nullptr ? of_zeros : page->hash);
  }
  return hash_of(hashes.data(), hashes.size() * sizeof(Hash));
}

// ---- the files of a state --------------------------------------------------------------------------

std::shared_ptr<Storage> PagedFileSystem::open(const std::string& path, const FileOpen& how) {
  const auto found = files_.find(path);
  if (found != files_.end()) return std::make_shared<Handle>(path, found->second, how.access == Access::read_write);
  FileOpen only_reading = how;
  only_reading.access = Access::read_only;
  return others_.open(path, only_reading);
}

std::shared_ptr<Storage> PagedFileSystem::open_beneath(const std::string& directory, const std::string& name, const FileOpen& how) {
  const std::string path = join_path(directory, name);
  return files_.contains(path) ? open(path, how) : others_.open_beneath(directory, name, how);
}

std::unique_ptr<PendingFile> PagedFileSystem::create(const std::string& path, const FileCreate& /*how*/) {
  throw Error(Errc::unsupported, "no file is made while a state is judged").in(path);
}

}  // namespace varve::test
