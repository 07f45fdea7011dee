// Snapshots of varve images change, and each step may fail. Every one of these is durable as a whole or not at all.
#include <algorithm>
#include <map>
#include <optional>

#include "faults/scripts.h"
#include "native/reachable.h"
#include "support/heap.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/secrets.h"
#include "varve/image.h"

namespace varve::test {
namespace {

using Content = std::vector<std::byte>;

class SnapshotSession final : public Attempt {
 public:
  using Steps = void (*)(SnapshotSession&);
  SnapshotSession(Bench& bench, const NativeTree& tree, Steps steps)
      : bench_(bench), tree_(tree), steps_(steps), now_{tree.disk.content, tree.snapshots}, durable_{now_} {}

  // The steps.
  void write(uint64_t offset, size_t length) {
    if (torn_ || half_) return;
    Content data;
    {
      const UncountedAllocations ours;
      data = pattern(offset, generation_++, length);
    }
    const bool done = change([&] { image_->write_at(offset, data); });
    const UncountedAllocations ours;
    State wanted = now_;
    std::copy(data.begin(), data.end(), wanted.disk.begin() + static_cast<ptrdiff_t>(offset));
    if (!done) torn_ = std::move(wanted.disk);
    if (done) now_ = std::move(wanted);
  }
  void flush() {
    step([&] { image_->flush(); }, [](State&) {}, false);
  }
  void create(const char* name) {
    step([&] { image_->create_snapshot(name, 1); }, [&](State& s) { s.snapshots[name] = s.disk; }, true);
  }
  void remove(const char* name) {
    step([&] { image_->delete_snapshot(name); }, [&](State& s) { s.snapshots.erase(name); }, true);
  }
  void revert(const char* name) {
    step([&] { image_->revert_to_snapshot(name); },
         [&](State& s) {
           if (s.snapshots.contains(name)) s.disk = s.snapshots[name];
         },
         true);
  }
  void rename(const char* name, const char* other) {
    step([&] { image_->rename_snapshot(name, other); },
         [&](State& s) {
           if (auto moved = s.snapshots.extract(name)) {
             moved.key() = other;
             s.snapshots.insert(std::move(moved));
           }
         },
         true);
  }
  void close() {
    step([&] { image_->close(); }, [](State&) {}, false);
  }

  std::string verdict(const Circumstances& how) override {
    if (wrong_ != nullptr) return wrong_;
    if (std::string wrong = difference(*tree_.disk.files, bench_.contents(), tree_.disk.own); !wrong.empty()) return wrong;
    State found;
    {
      Image image = open(Access::read_only);
      if (std::string wrong = damages_after(how, image); !wrong.empty()) return "check finds " + wrong;
      found = state_of(image);
    }
    if (std::none_of(durable_.begin(), durable_.end(), [&](const State& one) { return may_be(found, one); }))
      return "disk and snapshots are as no step left them";
    return judge_going_on(found);
  }

 private:
  struct State {
    Content disk;
    std::map<std::string, Content> snapshots;
  };

  void run() override {
    OpenOptions how;
    how.access = Access::read_write;
    how.format = "varve";
    how.secret = test_key();
    how.accept_older_state = true;  // a superblock may be half written
    how.file_system = &bench_.files();
    how.limits.write_buffer = tree_.disk.write_buffer;
    image_ = std::make_unique<Image>(Image::open(bench_.path(tree_.disk.image), how));
    steps_(*this);
    image_.reset();
  }
  template <typename Call>
  bool change(Call call) {
    const bool too_late = bench_.flush_failed();
    const bool done = try_to(call);
    if (done && too_late) wrong_ = "a change worked after a flush had failed";
    return done;
  }
  /// What was written until then becomes durable first. A failed one leaves the file as it was, as the disk is, or as it is to be. After a
  /// write or a change of snapshots that failed only flushes are tried, and what they say is durable is without it.
  template <typename Call, typename Effect>
  void step(Call call, Effect effect, bool of_snapshots) {
    if (of_snapshots && (torn_ || half_)) return;
    const bool too_late = bench_.flush_failed();
    const bool done = change(call);
    const UncountedAllocations ours;
    State after = now_;
    effect(after);
    if (done) {
      durable_ = {after};
      now_ = std::move(after);
      return;
    }
    if (too_late) return;
    durable_.push_back(now_);
    durable_.push_back(std::move(after));
    half_ = half_ || of_snapshots;
  }

  Image open(Access access, const std::string& snapshot = {}) {
    OpenOptions how;
    how.access = access;
    how.format = "varve";
    how.snapshot = snapshot;
    how.secret = test_key();
    how.accept_older_state = true;  // a superblock may be half written
    how.file_system = &bench_.sound();
    return Image::open(bench_.path(tree_.disk.image), how);
  }
  static Content content_of(Image& image) {
    Content all(image.size());
    image.read_at(0, all);
    return all;
  }
  State state_of(Image& image) {
    State found{content_of(image), {}};
    for (const SnapshotInfo& one : image.snapshots()) {
      if (one.branch_point) continue;
      Image shown = open(Access::read_only, one.name);
      found.snapshots[one.name] = content_of(shown);
    }
    return found;
  }
  /// Of a write that failed any part may be there.
  bool may_be(const State& found, const State& wanted) const {
    if (found.snapshots != wanted.snapshots || found.disk.size() != wanted.disk.size()) return false;
    constexpr size_t kSector = 512;
    for (size_t at = 0; at < found.disk.size(); at += kSector) {
      const auto same = [&](const Content& other) { return std::equal(&found.disk[at], &found.disk[at] + kSector, &other[at]); };
      if (!same(wanted.disk) && !(torn_ && same(*torn_))) return false;
    }
    return true;
  }
  /// Another session changes both, and nothing is lost.
  std::string judge_going_on(State found) {
    const auto data = pattern(40960, 99, 6000);
    {
      Image image = open(Access::read_write);
      image.write_at(40960, data);
      image.create_snapshot("last", 1);
      image.close();
    }
    std::copy(data.begin(), data.end(), found.disk.begin() + 40960);
    found.snapshots["last"] = found.disk;
    Image image = open(Access::read_only);
    if (std::string wrong = damages(image, false); !wrong.empty()) return "after one more session check finds " + wrong;
    const State now = state_of(image);
    if (now.disk != found.disk || now.snapshots != found.snapshots) return "one more session has changed something else";
    return leaks_of_closed(bench_.sound().open(bench_.path(tree_.disk.image), {}));
  }

  Bench& bench_;
  const NativeTree& tree_;
  const Steps steps_;
  State now_;                    ///< as the steps that worked left it
  std::vector<State> durable_;   ///< what may be on the medium
  std::optional<Content> torn_;  ///< the disk, had a write not failed
  std::unique_ptr<Image> image_;
  uint64_t generation_ = 20;
  bool half_ = false;  ///< a change of snapshots has failed
  const char* wrong_ = nullptr;
};

void make_and_delete(SnapshotSession& s) {
  s.write(20000, 9000);
  s.create("new");
  s.write(20000, 5000);
  s.flush();
  s.write(90000, 512);
  s.flush();
  s.remove("base");
  s.write(0, 4096);
  s.remove("side");
  s.close();
}

void go_back_and_branch(SnapshotSession& s) {
  s.write(50000, 20000);
  s.revert("side");
  s.write(0, 9000);
  s.create("branch");
  s.revert("base");
  s.remove("base");
  s.close();
}

void rename_and_flush(SnapshotSession& s) {
  s.rename("base", "root");
  s.write(4096, 4096);
  s.flush();
  s.write(4096, 512);
  s.flush();
  s.remove("root");
  s.revert("side");
  s.write(8192, 512);
  s.flush();
  s.close();
}

struct Named {
  const char* name;
  SnapshotSession::Steps steps;
};

}  // namespace

std::vector<Script> snapshot_scripts() {
  std::vector<Script> all;
  for (const NativeTree& tree : native_trees()) {
    for (const Named& one : {Named{"make and delete", make_and_delete}, Named{"go back and branch", go_back_and_branch},
                             Named{"rename and flush", rename_and_flush}}) {
      all.push_back({tree.disk.name + ": " + one.name, tree.disk.files,
                     [&tree, steps = one.steps](Bench& bench) { return std::make_unique<SnapshotSession>(bench, tree, steps); }});
    }
  }
  return all;
}

}  // namespace varve::test
