#include "capi/kit.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cerrno>

namespace varve::test {

std::optional<uint64_t> Told::file_offset() const {
  uint64_t offset = 0;
  return varve_error_file_offset(get(), &offset) == 1 ? std::optional(offset) : std::nullopt;
}

std::optional<uint64_t> Told::disk_offset() const {
  uint64_t offset = 0;
  return varve_error_disk_offset(get(), &offset) == 1 ? std::optional(offset) : std::nullopt;
}

varve_error* Told::untouched() {
  static char place;
  return reinterpret_cast<varve_error*>(&place);
}

int must(int code, const Told& told) {
  INFO(told.message());
  REQUIRE(code >= 0);
  REQUIRE(told.touched());
  REQUIRE(told.get() == nullptr);
  return code;
}

int refused(int code, const Told& told) {
  INFO(code << ": " << told.message());
  CHECK(code < 0);
  REQUIRE(told.touched());
  REQUIRE(told.get() != nullptr);
  CHECK(varve_error_code(told.get()) == code);
  CHECK_FALSE(told.message().empty());
  CHECK(told.message().find('\n') == std::string::npos);
  return code;
}

Options options(NamesAndValues values) {
  varve_options* made = nullptr;
  Told told;
  must(varve_options_new(&made, told), told);
  Options all(made);
  for (const auto& [name, value] : values) must(varve_options_set(made, name, value.c_str(), told), told);
  return all;
}

Options with_passphrase(Options to, const std::string& passphrase) {
  Told told;
  must(varve_options_add_secret(to.get(), "passphrase", passphrase.data(), passphrase.size(), told), told);
  return to;
}

Disk create(const std::string& path, uint64_t size, const Options& how) {
  varve_image* image = nullptr;
  Told told;
  must(varve_create(path.c_str(), size, how.get(), &image, told), told);
  return Disk(image);
}

Disk create(const File& file, uint64_t size, const Options& how) {
  varve_image* image = nullptr;
  Told told;
  must(varve_create_storage(file.get(), size, how.get(), &image, told), told);
  return Disk(image);
}

Disk open(const std::string& path, const Options& how) {
  varve_image* image = nullptr;
  Told told;
  must(varve_open(path.c_str(), how.get(), &image, told), told);
  return Disk(image);
}

Disk open(const File& file, const Options& how) {
  varve_image* image = nullptr;
  Told told;
  must(varve_open_storage(file.get(), how.get(), &image, told), told);
  return Disk(image);
}

void close(Disk disk) {
  Told told;
  must(varve_close(disk.get(), told), told);
}

Requests queue_of(const Disk& disk, unsigned depth) {
  varve_queue* queue = nullptr;
  Told told;
  must(varve_queue_new(disk.get(), depth, &queue, told), told);
  return Requests(queue);
}

Block pattern(uint64_t offset, size_t length, unsigned generation) {
  Block block(length);
  for (size_t i = 0; i < length; ++i)
    block[i] = static_cast<unsigned char>((offset + i) * 0x9e3779b97f4a7c15U >> 56 ^ ((offset + i) >> 12) ^ (generation * 37 + 1));
  return block;
}

Block read(const Disk& disk, uint64_t offset, size_t length) {
  Block block(length, 0xee);
  Told told;
  must(varve_read(disk.get(), offset, block.data(), length, told), told);
  return block;
}

void write(const Disk& disk, uint64_t offset, const Block& data, unsigned flags) {
  Told told;
  must(varve_write(disk.get(), offset, data.data(), data.size(), flags, told), told);
}

std::multimap<std::string, std::string> info_of(const Disk& disk, unsigned depth) {
  std::multimap<std::string, std::string> all;
  const auto note = [](void* user, const char* key, const char* value) {
    static_cast<std::multimap<std::string, std::string>*>(user)->emplace(key, value);
  };
  Told told;
  must(varve_info(disk.get(), depth, note, &all, told), told);
  return all;
}

std::string info_of(const Disk& disk, unsigned depth, const std::string& key) {
  const auto all = info_of(disk, depth);
  INFO(key);
  REQUIRE(all.count(key) == 1);
  return all.find(key)->second;
}

std::vector<std::string> snapshot_names(const Disk& disk) {
  std::vector<std::string> names;
  const auto note = [](void* user, const varve_snapshot* one) { static_cast<std::vector<std::string>*>(user)->emplace_back(one->name); };
  Told told;
  must(varve_snapshot_list(disk.get(), note, &names, told), told);
  return names;
}

// ---- a file in memory ------------------------------------------------------------------------------------------------------------------

/// Holds the mutex; counts, waits if it has to, and tells how it ends.
int MemoryFile::enter(std::unique_lock<std::mutex>& lock, Operation operation) {
  ++counts_[operation];
  const bool may_wait = operation == Operation::read || operation == Operation::write || operation == Operation::flush;
  if (may_wait && holding_) {
    ++held_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !holding_ || passes_ != 0; });
    --held_;
    if (holding_) --passes_;
  }
  const auto failure = failures_.find(operation);
  return failure != failures_.end() ? failure->second : 0;
}

/// The C functions.
struct MemoryFileCalls {
  using Operation = MemoryFile::Operation;

  template <typename Work>
  static int call(void* user, Operation operation, Work work) {
    MemoryFile& file = *static_cast<MemoryFile*>(user);
    std::unique_lock lock(file.mutex_);
    const int failed = file.enter(lock, operation);
    return failed != 0 ? failed : work(file.bytes_);
  }
  static int read(void* user, uint64_t offset, void* buffer, size_t length) {
    return call(user, Operation::read, [&](Block& bytes) {
      if (offset > bytes.size() || length > bytes.size() - offset) return EPIPE;
      std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(offset), length, static_cast<unsigned char*>(buffer));
      return 0;
    });
  }
  static int write(void* user, uint64_t offset, const void* data, size_t length) {
    return call(user, Operation::write, [&](Block& bytes) {
      if (offset + length > bytes.size()) bytes.resize(offset + length);
      std::copy_n(static_cast<const unsigned char*>(data), length, bytes.begin() + static_cast<ptrdiff_t>(offset));
      return 0;
    });
  }
  static int flush(void* user) {
    return call(user, Operation::flush, [](Block&) { return 0; });
  }
  static int size(void* user, uint64_t* size) {
    return call(user, Operation::size, [&](Block& bytes) {
      *size = bytes.size();
      return 0;
    });
  }
  static int resize(void* user, uint64_t size) {
    return call(user, Operation::resize, [&](Block& bytes) {
      bytes.resize(size);
      return 0;
    });
  }
  static int punch(void* user, uint64_t offset, uint64_t length) {
    return call(user, Operation::punch, [&](Block& bytes) {
      std::fill_n(bytes.begin() + static_cast<ptrdiff_t>(offset), length, static_cast<unsigned char>(0));
      return 0;
    });
  }
  static int extent(void* user, uint64_t offset, uint64_t* length, int* hole) {
    return call(user, Operation::extent, [&](Block& bytes) {
      const auto begin = bytes.begin() + static_cast<ptrdiff_t>(offset);
      *hole = *begin == 0 ? 1 : 0;
      *length = static_cast<uint64_t>(std::find_if(begin, bytes.end(), [&](unsigned char c) { return (c == 0) != (*hole == 1); }) - begin);
      return 0;
    });
  }
  static void release(void* user) {
    MemoryFile& file = *static_cast<MemoryFile*>(user);
    const std::lock_guard lock(file.mutex_);
    ++file.released_;
  }
};

varve_storage_ops MemoryFile::ops() const {
  using Calls = MemoryFileCalls;
  return {sizeof(varve_storage_ops),
          Calls::read,
          Calls::write,
          Calls::flush,
          Calls::size,
          Calls::resize,
          Calls::punch,
          Calls::extent,
          Calls::release};
}

File MemoryFile::storage(const std::string& name) { return storage(name, ops()); }

File MemoryFile::storage(const std::string& name, const varve_storage_ops& ops) {
  varve_storage* made = nullptr;
  Told told;
  must(varve_storage_from_ops(&ops, this, name.c_str(), &made, told), told);
  return File(made);
}

Block MemoryFile::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

void MemoryFile::set_bytes(Block bytes) {
  const std::lock_guard lock(mutex_);
  bytes_ = std::move(bytes);
}

void MemoryFile::fail(Operation operation, int with) {
  const std::lock_guard lock(mutex_);
  failures_[operation] = with;
}

void MemoryFile::hold() {
  const std::lock_guard lock(mutex_);
  holding_ = true;
  passes_ = 0;
}

void MemoryFile::let_go() {
  const std::lock_guard lock(mutex_);
  holding_ = false;
  changed_.notify_all();
}

void MemoryFile::let_go(unsigned count) {
  const std::lock_guard lock(mutex_);
  passes_ += count;
  changed_.notify_all();
}

unsigned MemoryFile::held() const {
  const std::lock_guard lock(mutex_);
  return held_;
}

unsigned MemoryFile::count(Operation operation) const {
  const std::lock_guard lock(mutex_);
  const auto found = counts_.find(operation);
  return found != counts_.end() ? found->second : 0;
}

unsigned MemoryFile::released() const {
  const std::lock_guard lock(mutex_);
  return released_;
}

}  // namespace varve::test
