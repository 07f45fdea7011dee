// What every fuzz target shares. A target is one file that defines run(); the rest comes from the main that it is linked with: libFuzzer's
// (target_main.cc) or one that replays files (replay_main.cc).
#ifndef VARVE_FUZZ_TARGET_H
#define VARVE_FUZZ_TARGET_H

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "varve/image.h"

namespace varve::fuzz {

/// The target's name, as in `fuzz/corpus/NAME`.
extern const char* const kTargetName;

/// One input. Whatever it is, this must return: a finding aborts.
void run(std::span<const uint8_t> input);

/// Ends the program as a finding if `holds` is false.
void require(bool holds, const std::string& what);

/// Calls `work`, which may throw varve::Error and nothing else, and that not for what only a host can do, such as io. Returns the error's
/// code as a number, 0 if there was none.
int only_errors(const std::function<void()>& work);

/// Is this the image's fault, as opposed to the caller's or the host's?
bool structural(int code);

/// Sizes and contents. Faster under a fuzzer than comparing byte by byte.
bool same_bytes(ConstBytes a, ConstBytes b);

/// Bounds for an input: a hostile image must fail on these rather than run for long. Three of four choices leave memory for tables as
/// usual, the others so little that not all of them are held at once.
Limits tight_limits(uint8_t choice = 0);

/// An image file in memory.
class MemoryImage {
 public:
  explicit MemoryImage(std::span<const std::byte> bytes, const Limits& limits = tight_limits());
  /// One that consists of little else than holes.
  MemoryImage(std::shared_ptr<Storage> file, std::string format, const Limits& limits);

  /// Opened from now on over the image at `path` of `files`, which outlives this, if it is a child.
  void use_parent(FileSystem& files, const std::string& path);

  /// The same with another file.
  MemoryImage with(std::shared_ptr<Storage> file) const;

  const std::shared_ptr<Storage>& storage() const { return storage_; }
  std::vector<std::byte> bytes() const;
  Image open(Access access) const { return open(access, format_); }
  Image open(Access access, const std::string& format) const;
  /// Also if only a check makes sense.
  Image open_for_check(Access access) const;
  /// For reading.
  Image open_snapshot(const std::string& name) const;

 private:
  std::shared_ptr<Storage> storage_;
  OpenOptions options(Access access, const std::string& format) const;

  std::string format_ = "vmdk";
  Limits limits_;
  FileSystem* files_ = nullptr;
  std::string parent_;  ///< empty: looked at alone
};

/// What a file holds, so that any change of it can be seen.
struct FileState {
  explicit FileState(Storage& file);
  bool operator==(const FileState&) const = default;

  uint64_t size;
  std::vector<uint8_t> packed;  ///< as an input of few bytes
};

/// Everything that reads an image without a parent: info, check with its data, map, reads at many places. Runs without data read as
/// zeros, a part reads as the whole does, and a check which finds nothing is followed by no structural failure.
void read_everything(Image& image);

/// A packed image (sparse_input.h) opened for reading: read_everything(), no write is taken, no byte of the file changes.
void read_packed_image(std::span<const uint8_t> input, const std::string& format);

/// Peak of the heap beyond `start` stays within 32 MiB + 4 x `input_bytes` (rule RES-1).
class HeapBound {
 public:
  explicit HeapBound(uint64_t input_bytes);
  ~HeapBound();
  HeapBound(const HeapBound&) = delete;
  HeapBound& operator=(const HeapBound&) = delete;

 private:
  uint64_t allowed_;
};

}  // namespace varve::fuzz

#endif
