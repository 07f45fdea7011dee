// An image of the native format of any bytes and a script of operations, against shadow disks of its head and its snapshots: what can be
// read at first stays as it is unless it is written, what is written reads back also after reopening and in a copy of the file that was
// never closed, and an image that was sound before is sound afterwards.
#include <algorithm>
#include <map>

#include "data_producer.h"
#include "script.h"
#include "shadow.h"
#include "sparse_input.h"
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "varve_ops";

namespace {

constexpr uint64_t kMaxDisk = 1 << 20;
constexpr uint64_t kMaxSteps = 24;

/// Was it refused before anything was done? Every other failure of a change of snapshots or attachments ends all writing.
bool leaves_all_as_it_was(int code) {
  return code == static_cast<int>(Errc::not_found) || code == static_cast<int>(Errc::exists) ||
         code == static_cast<int>(Errc::invalid_argument);
}

/// One session, and what the disk and the snapshots that it made must hold.
class Session {
 public:
  Session(const MemoryImage& file, Image& image, DataProducer& script, bool sound)
      : file_(file), image_(image), script_(script), bounds_{.largest = 2 * kMaxDisk, .sound = sound}, disk_(Shadow::of(image)) {}

  const Shadow& disk() const { return disk_; }

  bool step() {
    const uint8_t kind = script_.byte() % 16;
    if (kind > 3) return run_step(image_, disk_, script_, bounds_);
    const std::string name(1, static_cast<char>('A' + script_.byte() % 4));
    int code = 0;
    if (kind == 0 && (code = only_errors([&] { image_.create_snapshot(name, 1); })) == 0) kept_.insert_or_assign(name, disk_);
    if (kind == 1 && (code = only_errors([&] { image_.delete_snapshot(name); })) == 0) kept_.erase(name);
    if (kind == 2 && kept_.contains(name) && (code = only_errors([&] { image_.revert_to_snapshot(name); })) == 0) disk_ = kept_.at(name);
    if (kind == 3) code = attach(name);
    require(!bounds_.sound || !structural(code), "a sound image was found corrupt by a snapshot or an attachment");
    return code == 0 || leaves_all_as_it_was(code);
  }

  /// As if the program had been killed now.
  void compare_killed() const {
    const MemoryImage killed = file_.with(copy_of(*file_.storage()));
    Image image = killed.open(Access::read_only);
    disk_.compare(image, "in a file that was left open");
    if (!bounds_.sound) return;
    for (const auto& [name, shadow] : kept_) {
      Image shown = killed.open_snapshot(name);
      shadow.compare(shown, "in a snapshot");
    }
  }

 private:
  /// Puts something, deletes it, or looks where the disk differs from a snapshot of that name.
  int attach(const std::string& name) {
    const uint8_t what = script_.byte();
    if (what % 4 == 0) return only_errors([&] { image_.delete_attachment({name}); });
    if (what % 4 == 1) return only_errors([&] { image_.diff_snapshots(name, "", [](const Extent&) {}); });
    const std::vector<std::byte> bytes(uint64_t{what} * 150, std::byte{what});
    size_t given = 0;
    const int code = only_errors([&] {
      image_.put_attachment(
          {name}, 1,
          [&](MutableBytes out) {
            const size_t count = std::min(out.size(), bytes.size() - given);
            std::copy_n(bytes.begin(), count, out.begin());
            given += count;
            return count;
          },
          true);
    });
    std::vector<std::byte> seen(bytes.size());
    if (code == 0) image_.read_attachment({name}, 0, seen);
    require(code != 0 || seen == bytes, "an attachment reads different from what was put");
    return code;
  }

  const MemoryImage& file_;
  Image& image_;
  DataProducer& script_;
  const ScriptBounds bounds_;
  Shadow disk_;
  std::map<std::string, Shadow> kept_;
};

}  // namespace

void run(std::span<const uint8_t> input) {
  const SparseInput parts(input);
  DataProducer script(parts.tail);
  const MemoryImage file(parts.file, "varve", tight_limits(script.byte()));
  const uint64_t steps = script.byte() % (kMaxSteps + 1);
  only_errors([&] {
    Image image = file.open(Access::read_write);
    if (image.size() == 0 || image.size() > kMaxDisk) return;
    const bool sound = is_sound(image, true);
    Session session(file, image, script, sound);
    bool goes_on = true;
    for (uint64_t i = 0; i < steps && goes_on; ++i) goes_on = session.step();
    session.disk().compare(image, "in the open image");
    if (!goes_on || only_errors([&] { image.flush(); }) != 0) return;  // what failed may have ended all writing
    session.compare_killed();
    if (only_errors([&] { image.close(); }) != 0) return;
    Image again = file.open(Access::read_only);
    session.disk().compare(again, "after reopening");
    require(!sound || is_sound(again, true), "a sound image is damaged after writing");
    read_everything(again);
  });
}

}  // namespace varve::fuzz
