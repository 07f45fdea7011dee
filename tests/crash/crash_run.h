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

class CrashRun {
 public:
  /// `filled`: the disk holds data before the script begins.
  CrashRun(const ImageConfig& config, bool filled, Rng& rng);

  // The script. Offsets and lengths are rounded to sectors, the unit of the model.
  void write(uint64_t offset, uint64_t length);
  void zero(uint64_t offset, uint64_t length);
  void discard(uint64_t offset, uint64_t length);
  void flush();
  void grow(uint64_t bytes);
  void close();
  /// `steps` of these at random places.
  void random(unsigned steps);

  /// Judges every state. `distinct` gathers states over several runs; returns the first thing that is wrong, or an empty string.
  std::string judge(std::set<PowerCuts::Hash>& distinct);
  /// The same for a log that was tampered with.
  std::string judge(std::set<PowerCuts::Hash>& distinct, std::vector<StorageEvent> log);
  std::vector<StorageEvent> log() const { return log_->events(); }

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
  OpenOptions options(FileSystem& files, Access access) const;

  TestDisk disk_;
  Rng& rng_;
  std::shared_ptr<EventLog> log_ = std::make_shared<EventLog>();
  std::unique_ptr<RecordingFileSystem> recording_;
  FileSet base_;
  std::unique_ptr<Image> image_;
  std::unique_ptr<History> history_;
  uint64_t generation_ = 1;
};

}  // namespace varve::test

#endif
