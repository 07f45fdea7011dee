// What every fuzz target shares. A target is one file that defines run(); the rest comes from the main that it is linked with: libFuzzer's
// (target_main.cc) or one that replays files (replay_main.cc).
#ifndef VARVE_FUZZ_TARGET_H
#define VARVE_FUZZ_TARGET_H

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>

#include "varve/image.h"

namespace varve::fuzz {

/// The target's name, as in `fuzz/corpus/NAME`.
extern const char* const kTargetName;

/// One input. Whatever it is, this must return: a finding aborts.
void run(std::span<const uint8_t> input);

/// Ends the program as a finding if `holds` is false.
void require(bool holds, const std::string& what);

/// Calls `work`, which may throw varve::Error and nothing else. Returns the error's code as a number, 0 if there was none.
int only_errors(const std::function<void()>& work);

/// Is this the image's fault, as opposed to the caller's or the host's?
bool structural(int code);

/// Bounds for an input: a hostile image must fail on these rather than run for long.
Limits tight_limits();

/// An image file in memory.
class MemoryImage {
 public:
  explicit MemoryImage(std::span<const std::byte> bytes);
  const std::shared_ptr<Storage>& storage() const { return storage_; }
  std::vector<std::byte> bytes() const;
  Image open(Access access, const std::string& format = "vmdk") const;

 private:
  std::shared_ptr<Storage> storage_;
};

/// Everything that reads: info, map, reads at many places, check. Returns what check said and asserts that it and the reads
/// agree, and that a check which finds nothing is followed by no structural failure.
void read_everything(Image& image);

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
