// Files as a power cut may have left them: thousands of states that differ in a few pages, which they share otherwise.
#ifndef VARVE_TESTS_SUPPORT_PAGED_FILE_H
#define VARVE_TESTS_SUPPORT_PAGED_FILE_H

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/file_system.h"
#include "varve/storage.h"

namespace varve::test {

/// The bytes of a file. A copy shares its pages until one of both changes them. Pages of zeros take no space. Not thread-safe.
class PagedFile {
 public:
  static constexpr size_t kPageSize = 4096;
  using Hash = std::pair<uint64_t, uint64_t>;

  PagedFile() = default;
  explicit PagedFile(ConstBytes contents) { write(0, contents); }

  uint64_t size() const { return size_; }
  void resize(uint64_t size);
  /// Both within size().
  void read(uint64_t offset, MutableBytes out) const;
  void clear(uint64_t offset, uint64_t length);
  /// Grows the file where it must.
  void write(uint64_t offset, ConstBytes data);

  /// As far as the page of `offset` and those behind it are alike.
  StorageExtent extent_at(uint64_t offset) const;
  std::vector<std::byte> contents() const;
  /// Of size and bytes. Those of a page are computed once, for all that share it.
  Hash hash() const;

 private:
  struct Page {
    std::array<std::byte, kPageSize> bytes{};
    Hash hash{};
    bool hashed = false;
  };

  void write_in_page(uint64_t offset, ConstBytes data);

  uint64_t size_ = 0;
  std::vector<std::shared_ptr<Page>> pages_;  ///< none: zeros. Bytes at or beyond size_ are zero
};

/// 128 bits that are the same for the same bytes.
PagedFile::Hash hash_of(const void* data, size_t length);

/// The files of one state, which what is opened here may change, and those of another file system that it only reads.
class PagedFileSystem final : public FileSystem {
 public:
  explicit PagedFileSystem(FileSystem& others) : others_(others) {}

  void add(const std::string& path, PagedFile file) { files_[path] = std::make_shared<PagedFile>(std::move(file)); }
  const PagedFile& file(const std::string& path) const { return *files_.at(path); }

  std::shared_ptr<Storage> open(const std::string& path, const FileOpen& how) override;
  std::shared_ptr<Storage> open_beneath(const std::string& directory, const std::string& name, const FileOpen& how) override;
  std::unique_ptr<PendingFile> create(const std::string& path, const FileCreate& how) override;

 private:
  FileSystem& others_;
  std::map<std::string, std::shared_ptr<PagedFile>> files_;
};

}  // namespace varve::test

#endif
