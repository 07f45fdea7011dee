// What the tests of the C interface share. They know varve/varve.h and nothing else of the product, and link the shared library.
#ifndef VARVE_TESTS_CAPI_KIT_H
#define VARVE_TESTS_CAPI_KIT_H

#include <varve/varve.h>

#include <condition_variable>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "support/process.h"

namespace varve::test {

/// The `error` argument of a call: stands for one call after the other, and never holds NULL before.
class Told {
 public:
  Told() = default;
  ~Told() { forget(); }
  Told(const Told&) = delete;
  Told& operator=(const Told&) = delete;

  operator varve_error**() {  // NOLINT: so that it stands where the C function wants one
    forget();
    error_ = untouched();
    return &error_;
  }
  const varve_error* get() const { return error_ == untouched() ? nullptr : error_; }
  bool touched() const { return error_ != untouched(); }
  std::string message() const { return varve_error_message(get()); }
  std::string path() const { return varve_error_path(get()); }
  std::optional<uint64_t> file_offset() const;
  std::optional<uint64_t> disk_offset() const;

 private:
  static varve_error* untouched();
  void forget() {
    if (touched()) varve_error_free(error_);
    error_ = nullptr;
  }

  varve_error* error_ = nullptr;
};

/// The call went well, and *error is NULL; else the case ends. Returns the count that some functions give.
int must(int code, const Told& told);
/// The code of a call that failed, whose error says the same and more.
int refused(int code, const Told& told);

template <auto free_handle>
struct Free {
  template <typename Handle>
  void operator()(Handle* handle) const {
    free_handle(handle);
  }
};
using Options = std::unique_ptr<varve_options, Free<varve_options_free>>;
using Disk = std::unique_ptr<varve_image, Free<varve_free>>;
using Requests = std::unique_ptr<varve_queue, Free<varve_queue_free>>;
using File = std::unique_ptr<varve_storage, Free<varve_storage_free>>;

using NamesAndValues = std::initializer_list<std::pair<const char*, std::string>>;
Options options(NamesAndValues values);
/// Adds a secret.
Options with_passphrase(Options to, const std::string& passphrase);

Disk create(const std::string& path, uint64_t size, const Options& how);
Disk create(const File& file, uint64_t size, const Options& how);
Disk open(const std::string& path, const Options& how);
Disk open(const File& file, const Options& how);
/// Closes, and gives back.
void close(Disk disk);
Requests queue_of(const Disk& disk, unsigned depth);

using Block = std::vector<unsigned char>;
/// Bytes that tell their place and their generation.
Block pattern(uint64_t offset, size_t length, unsigned generation = 0);
Block read(const Disk& disk, uint64_t offset, size_t length);
void write(const Disk& disk, uint64_t offset, const Block& data, unsigned flags = 0);
std::multimap<std::string, std::string> info_of(const Disk& disk, unsigned depth = 0);
/// The value of a key that is there once.
std::string info_of(const Disk& disk, unsigned depth, const std::string& key);
std::vector<std::string> snapshot_names(const Disk& disk);

/// A file in memory behind the caller's functions, which can fail and wait. Outlives its storages.
class MemoryFile {
 public:
  enum class Operation : uint8_t { read, write, flush, size, resize, punch, extent };

  /// Those that the ops name; a case may take some away.
  varve_storage_ops ops() const;
  File storage(const std::string& name);
  File storage(const std::string& name, const varve_storage_ops& ops);

  Block bytes() const;
  void set_bytes(Block bytes);
  /// From now on the operation returns it; 0: works.
  void fail(Operation operation, int with);
  /// From now on reads, writes and flushes wait.
  void hold();
  void let_go();
  /// Lets so many of those that wait go on, or of those that come.
  void let_go(unsigned count);
  unsigned held() const;
  unsigned count(Operation operation) const;
  unsigned released() const;

 private:
  friend struct MemoryFileCalls;
  int enter(std::unique_lock<std::mutex>& lock, Operation operation);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Block bytes_;
  std::map<Operation, int> failures_;
  std::map<Operation, unsigned> counts_;
  bool holding_ = false;
  unsigned passes_ = 0;
  unsigned held_ = 0;
  unsigned released_ = 0;
};

}  // namespace varve::test

#endif
