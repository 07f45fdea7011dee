// A script run on a recorded image, and the judgement of what a power cut would leave of it.
#ifndef VARVE_TESTS_CRASH_CRASH_RUN_H
#define VARVE_TESTS_CRASH_CRASH_RUN_H

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "crash/history.h"
#include "support/image_kit.h"
#include "support/power_cut.h"
#include "support/storages.h"

namespace varve::test {

/// An image as a script finds it.
struct Layout {
  ImageConfig config;
  void (*prepare)(TestDisk&) = nullptr;  ///< what is done to it before it is filled
};

/// Of a VMDK: bytes that an embedded descriptor may take, from the second sector on.
inline constexpr uint64_t kDescriptorArea = 20 * History::kSector;
bool has_embedded_text(const Storage& file);
/// Of the image at TestDisk::kPath, wherever it lies.
std::string descriptor_text(const MemoryFileSystem& files);

/// Its content ID; empty if it has none.
std::string cid_of(Image& image);

class CrashRun {
 public:
  static constexpr uint64_t kSector = History::kSector;

  /// `filled`: the disk holds data before the script begins.
  CrashRun(const Layout& layout, bool filled, Rng& rng);
  /// A script of its own on what a power cut left of another.
  CrashRun(CrashRun& earlier, const CutState& left);

  // The script. Offsets and lengths are rounded to sectors, the unit of the model.
  void write(uint64_t offset, uint64_t length);
  void zero(uint64_t offset, uint64_t length);
  void discard(uint64_t offset, uint64_t length);
  void flush();
  void grow(uint64_t bytes);
  /// As `varve check --repair=safe`. It may bring back what an earlier script had written when its power was cut: what it shows then.
  std::vector<std::byte> repair();
  void close();
  /// `steps` of these at random places.
  void random(unsigned steps);
  uint64_t random_length(uint64_t most) { return rng_.between(kSector, most); }

  /// Judges every state. `distinct` gathers states over several runs; returns the first thing that is wrong, or an empty string.
  std::string judge(std::set<PowerCuts::Hash>& distinct);
  /// The same for a log that was tampered with.
  std::string judge(std::set<PowerCuts::Hash>& distinct, std::vector<StorageEvent> log);
  std::vector<StorageEvent> log() const { return log_->events(); }
  /// One of the states, any of them alike.
  CutState pick_state();
  /// Empty if a disk with this content may be left in `state`.
  std::string verdict_of_content(const CutState& state, ConstBytes content) const { return history_->verdict(state.position, content); }

 private:
  struct Range {
    uint64_t offset;
    uint64_t length;
  };
  Range within(uint64_t offset, uint64_t length) const;
  void open_recorded();
  std::string verdict(const CutState& state);
  std::string judge_reading(MemoryFileSystem& files, const CutState& state, std::vector<std::byte>& content);
  std::string judge_writing(MemoryFileSystem& files, const std::vector<std::byte>& content);
  std::string judge_cid(Image& image, const std::vector<std::byte>& content) const;
  OpenOptions options(FileSystem& files, Access access) const;

  TestDisk disk_;
  Rng& rng_;
  std::shared_ptr<EventLog> log_ = std::make_shared<EventLog>();
  std::unique_ptr<RecordingFileSystem> recording_;
  FileSet base_;
  std::unique_ptr<Image> image_;
  std::unique_ptr<History> history_;
  std::vector<std::vector<std::byte>> same_cid_;  ///< what the disk may hold under the CID that it had before the script
  std::string start_cid_;
  std::vector<std::string> start_lines_;  ///< of the descriptor
  bool grows_ = false;
  uint64_t generation_ = 1;
};

}  // namespace varve::test

#endif
