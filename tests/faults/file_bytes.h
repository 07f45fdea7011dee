// What is in a file. Images are mostly holes, and a bench is filled and looked at thousands of times.
#ifndef VARVE_TESTS_FAULTS_FILE_BYTES_H
#define VARVE_TESTS_FAULTS_FILE_BYTES_H

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "varve/storage.h"

namespace varve::test {

/// The bytes of a file, pages of zeros left out.
class FileBytes {
 public:
  static constexpr uint64_t kPage = 4096;

  FileBytes() = default;
  FileBytes(const std::vector<std::byte>& whole);  // NOLINT(google-explicit-constructor): the same thing in short
  /// Of a file as it is now.
  explicit FileBytes(Storage& file);

  uint64_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  std::vector<std::byte> whole() const;
  /// Into a file that is empty; what is left out becomes a hole.
  void write_to(Storage& file) const;
  bool operator==(const FileBytes&) const = default;

 private:
  void add(uint64_t place, ConstBytes page);

  uint64_t size_ = 0;
  std::vector<uint64_t> places_;
  std::vector<std::byte> pages_;  // one behind the other, the last one filled up
};

/// Files by name, all in one folder.
using FileSet = std::map<std::string, FileBytes>;

}  // namespace varve::test

#endif
