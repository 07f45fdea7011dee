// A script run on a recorded image, and the judgement of what a power cut would leave of it.
#ifndef VARVE_TESTS_CRASH_CRASH_RUN_H
#define VARVE_TESTS_CRASH_CRASH_RUN_H

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "crash/format_rules.h"
#include "crash/history.h"
#include "support/image_kit.h"
#include "support/power_cut.h"
#include "support/storages.h"

namespace varve::test {

/// An image as a script finds it.
struct Layout {
  ImageConfig config;
  void (*prepare)(TestDisk&) = nullptr;  ///< what is done to it before it is filled
  void (*damage)(TestDisk&) = nullptr;   ///< and afterwards: what a safe repair mends. Until then check may find it
  uint64_t block = 0;                    ///< bytes that are given up at once, by random steps; 0: they know of none
  uint64_t filled_run = 48 * 1024;       ///< bytes of data, then as many that are a hole
  uint64_t write_buffer = 0;             ///< Limits::write_buffer; 0: as it is
  Tearing tearing = {};                  ///< by the medium
  bool snapshots = false;                ///< two of them, "base" and "side", over both of which something was written
  uint64_t seen = UINT64_MAX;            ///< of a disk too large for a model only so much is looked at; the rest is never written
};

class CrashRun {
 public:
  static constexpr uint64_t kSector = History::kSector;

  /// `filled`: the disk holds data before the script begins.
  CrashRun(const Layout& layout, bool filled, Rng& rng);
  /// A script of its own on what a power cut left of another: it begins with what opening for writing does.
  CrashRun(CrashRun& earlier, const CutState& left);

  // The script. Offsets and lengths are rounded to sectors, the unit of the model.
  void write(uint64_t offset, uint64_t length);
  void zero(uint64_t offset, uint64_t length);
  void discard(uint64_t offset, uint64_t length);
  void flush();
  void grow(uint64_t bytes);
  void shrink(uint64_t bytes);
  /// As `varve check --repair=safe`. It may bring back what an earlier script had written when its power was cut: what it shows then.
  std::vector<std::byte> repair();
  void create_snapshot();
  /// "base", or the first one. If there is none, one is made.
  void delete_snapshot();
  /// To "side", or the last one. If there is none, one is made.
  void revert_to_snapshot();
  void close();
  void reopen();
  /// In what was done until now the power does not fail: for scripts that take long to come to the point.
  void begin_here() { judged_from_ = log_->size(); }
  /// `steps` of these at random places.
  void random(unsigned steps);
  /// The next write compresses well (support/pattern.h).
  void skip_to_compressible() { generation_ = generation_ / 4 * 4 + 3; }
  uint64_t random_length(uint64_t most) { return rng_.between(kSector, most); }

  /// As a script of its own, on one of so many states the power is cut a second time in what follows; 0: on none. `distinct` gathers what
  /// that leaves.
  void cut_again(uint64_t one_in, std::set<PowerCuts::Hash>& distinct) {
    cut_again_ = one_in;
    distinct_again_ = &distinct;
  }

  /// Judges every state. `distinct` gathers states over several runs; returns the first thing that is wrong, or an empty string.
  std::string judge(std::set<PowerCuts::Hash>& distinct);
  /// The same for a log that was tampered with.
  std::string judge(std::set<PowerCuts::Hash>& distinct, std::vector<StorageEvent> log);
  std::vector<StorageEvent> log() const { return log_->events(); }
  /// `count` of the states that are `wanted`, or all if there are fewer, any of them alike.
  std::vector<CutState> pick_states(size_t count, const std::function<bool(const CutState&)>& wanted);
  CutState pick_state();
  /// Is there a log that opening it for writing brings into the file?
  bool has_pending_log(const CutState& state);
  /// Empty if a disk with this content may be left in `state`.
  std::string verdict_of_content(const CutState& state, ConstBytes content, uint64_t size) const {
    return history_->verdict(state.position, content, size);
  }
  /// What the disk held before the script.
  const std::vector<std::byte>& start() const { return same_identity_.front(); }
  uint64_t start_size() const { return start_size_; }

 private:
  struct Range {
    uint64_t offset;
    uint64_t length;
  };
  using Snapshots = std::map<std::string, std::vector<std::byte>>;  // contents by name
  /// What was found when an image was opened for reading.
  struct Found {
    std::vector<std::byte> content;
    uint64_t size = 0;
    std::string identity;
    Snapshots snapshots = {};
  };

  Range within(uint64_t offset, uint64_t length) const;
  void fill();
  void open_recorded();
  void resize(uint64_t size);
  void random_step();
  void random_blocks();
  uint64_t seen_of(uint64_t size) const { return std::min(size, layout_.seen); }
  std::vector<std::byte> head_of(Image& image) const;
  OpenOptions options(FileSystem& files, Access access) const;
  PagedFileSystem files_of(const CutState& state);

  // snapshots.cc
  void make_branch();
  template <typename Call, typename Effect>
  void change_snapshots(Call call, Effect effect);
  void random_snapshot_change();
  Snapshots snapshots_of(FileSystem& files, Image& image) const;
  std::string change_snapshots_after_the_cut(Image& image, ShadowDisk& model, uint64_t& size, Snapshots& snapshots);

  // verdict.cc
  static std::set<std::string> damages_of(Image& image);
  std::string verdict(const CutState& state);
  std::string judge_reading(PagedFileSystem& files, const CutState& state, Found& found);
  std::string judge_whole(const CutState& state, const Found& found) const;
  std::string judge_second_cut(const CutState& state);
  void published(size_t log_begin);
  std::string judge_rest(Image& image) const;
  std::string judge_identity(const Found& found) const;
  std::string judge_untouched(const PagedFileSystem& files, const CutState& state) const;
  std::string judge_writing(PagedFileSystem& files, const Found& found);
  std::string judge_closed(PagedFileSystem& files, const Found& before, const Found& now);
  std::string work_on(Image& image, ShadowDisk& model);
  std::string give_up_a_block(Image& image, ShadowDisk& model);

  /// Of a disk and all its snapshots at one moment.
  struct State {
    uint64_t size = 0;
    PowerCuts::Hash content{};
    std::map<std::string, PowerCuts::Hash> snapshots;
    bool operator==(const State&) const = default;
  };
  static State state_of(uint64_t size, ConstBytes content, const Snapshots& snapshots);
  State state_now() { return state_of(image_ ? image_->size() : start_size_, disk_.model().bytes(), kept_); }
  /// A moment at which it may have become durable as a whole.
  struct Whole {
    size_t log_begin;
    size_t log_end;
    State state;
  };

  const Layout layout_;
  const FormatRules& rules_;
  const uint64_t ids_seed_;
  SeededRandom ids_;  ///< of the images: the same script leaves the same states
  TestDisk disk_;
  Rng& rng_;
  std::shared_ptr<EventLog> log_ = std::make_shared<EventLog>();
  std::unique_ptr<RecordingFileSystem> recording_;
  FileSet base_;
  std::unique_ptr<Image> image_;
  std::unique_ptr<History> history_;
  std::vector<std::vector<std::byte>> same_identity_;  ///< what the disk may hold under the identity that it had before the script
  uint64_t start_size_ = 0;
  std::string start_identity_;
  std::vector<std::string> start_constants_;
  std::set<std::string> start_damages_;
  size_t judged_from_ = 0;  ///< position in the log
  bool changes_ = false;    ///< what the guest sees, as far as the script asked for it
  bool resizes_ = false;
  std::vector<Whole> wholes_;
  Snapshots kept_;
  uint64_t next_snapshot_ = 0;
  uint64_t cut_again_ = 0;
  std::set<PowerCuts::Hash>* distinct_again_ = nullptr;
  uint64_t judged_ = 0;
  uint64_t generation_ = 1;
};

}  // namespace varve::test

#endif
