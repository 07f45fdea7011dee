// The power fails in the middle of a repair: what is left is read as before or as after it, the same repair finishes it, and children
// notice if data was given up.
#include <array>
#include <cstdio>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/endian.h"
#include "crash/vmdk_layouts.h"
#include "support/bytes.h"
#include "support/pattern.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kStates = 400;
constexpr size_t kChunk = 4096;
constexpr uint32_t kNowhere = 0xfffffff0;

/// The tables of a sparse extent, to be damaged.
class Tables {
 public:
  explicit Tables(std::shared_ptr<MemoryStorage> file) : file_(std::move(file)), primary_(number(56)), redundant_(number(48)) {}

  void set_primary(uint64_t grain, uint32_t entry) { set(entry_at(primary_, grain), entry); }
  void set_redundant(uint64_t grain, uint32_t entry) { set(entry_at(redundant_, grain), entry); }
  void set_both(uint64_t grain, uint32_t entry) {
    set_primary(grain, entry);
    set_redundant(grain, entry);
  }
  /// The table is gone, and its directory names `sector`.
  void lose_table(bool primary, uint64_t table, uint32_t sector) {
    const uint64_t place = (primary ? primary_ : redundant_) * 512 + table * 4;
    file_->write_at(number(place) * uint64_t{512}, bytes(2048, 0));
    set(place, sector);
  }
  void lose_redundant_directory() { set(48, kNowhere); }
  void set_unclean() { file_->write_at(72, bytes(1, 1)); }

 private:
  uint32_t number(uint64_t offset) const { return load<le32>(read(*file_, offset, 4)); }
  void set(uint64_t offset, uint32_t value) { file_->write_at(offset, bytes_of(le32(value))); }
  uint64_t entry_at(uint64_t directory, uint64_t grain) const {
    return number(directory * 512 + grain / 512 * 4) * uint64_t{512} + grain % 512 * 4;
  }

  const std::shared_ptr<MemoryStorage> file_;
  const uint64_t primary_;
  const uint64_t redundant_;
};

struct Damage {
  const char* name;
  bool loses_data;  ///< both copies are bad: only a repair of all gives it up
  void (*inflict)(Tables& tables);
};

constexpr std::array<Damage, 8> kDamages = {{
    {"an entry of the tables", false, [](Tables& t) { t.set_primary(1, kNowhere); }},
    {"an entry of the redundant tables", false, [](Tables& t) { t.set_redundant(1, kNowhere); }},
    {"an entry of both", true, [](Tables& t) { t.set_both(1, kNowhere); }},
    {"entries of both, and of one", true,
     [](Tables& t) {
       t.set_both(0, kNowhere);
       t.set_both(4, kNowhere);
       t.set_primary(1, kNowhere);
     }},
    {"a table and its place", false, [](Tables& t) { t.lose_table(true, 0, kNowhere); }},
    {"a redundant table and its place", false, [](Tables& t) { t.lose_table(false, 0, 0); }},
    {"a directory", false, [](Tables& t) { t.lose_redundant_directory(); }},
    {"a crash, and an entry of both", true,
     [](Tables& t) {
       t.set_unclean();
       t.set_primary(1, 0);
       t.set_both(0, kNowhere);
     }},
}};

/// A disk as it can be read: what can't is marked.
struct Shown {
  std::vector<std::byte> content;
  std::vector<bool> bad;  ///< by chunk

  explicit Shown(Image& image) : content(static_cast<size_t>(image.size())), bad(content.size() / kChunk + 1) {
    for (size_t chunk = 0; chunk * kChunk < content.size(); ++chunk) {
      try {
        image.read_at(chunk * kChunk, part(chunk));
      } catch (const Error& error) {
        if (error.code() != Errc::corrupt) throw;
        bad[chunk] = true;
      }
    }
  }
  MutableBytes part(size_t chunk) {
    return MutableBytes(content).subspan(chunk * kChunk, std::min(kChunk, content.size() - chunk * kChunk));
  }
  bool same(Shown& other, size_t chunk) {
    if (bad[chunk] || other.bad[chunk]) return bad[chunk] == other.bad[chunk];
    return std::equal(part(chunk).begin(), part(chunk).end(), other.part(chunk).begin());
  }
};

class RepairRun {
 public:
  RepairRun(const Layout& layout, const Damage& damage, Repair how, Rng& rng)
      : disk_(layout.config), how_(how), gives_up_(damage.loses_data && how == Repair::all), rng_(rng) {
    if (layout.prepare != nullptr) layout.prepare(disk_);
    fill();
    const auto extent = disk_.files().find(std::string(TestDisk::kPath) + "-s001.vmdk");
    Tables tables(extent != nullptr ? extent : disk_.files().find(TestDisk::kPath));
    damage.inflict(tables);
    for (const std::string& path : disk_.files().paths()) {
      if (path == TestDisk::kParentPath) continue;
      log_->file(path);
      base_.emplace_back(disk_.files().find(path)->contents());
    }
    Image image = open(disk_.files(), Access::read_only);
    before_ = std::make_unique<Shown>(image);
    cid_ = identity_of(image);
    repair_recorded();
  }

  /// The first thing that is wrong, or an empty string.
  std::string judge(std::set<PowerCuts::Hash>& distinct) {
    std::string wrong;
    PowerCuts cuts(base_, log_->events(), rng_);
    cuts.enumerate(
        distinct, [](size_t) { return 0; },
        [&](const CutState& state) {
          if (!wrong.empty()) return;
          const std::string problem = verdict(state);
          if (!problem.empty()) wrong = state.name + ": " + problem;
        });
    return wrong;
  }

 private:
  Image open(FileSystem& files, Access access) {
    OpenOptions how = disk_.open_options(access);
    how.file_system = &files;
    return Image::open(TestDisk::kPath, how);
  }

  void fill() {
    Image image = disk_.open();
    for (uint64_t offset = 0; offset < image.size(); offset += 96 * 1024)
      image.write_at(offset, pattern(offset, 1, static_cast<size_t>(std::min<uint64_t>(70 * 1024, image.size() - offset))));
    image.close();
  }

  CheckReport repair(FileSystem& files) {
    Image image = open(files, Access::read_write);
    CheckOptions how;
    how.repair = how_;
    CheckReport report = image.check(how);
    image.close();
    return report;
  }

  void repair_recorded() {
    RecordingFileSystem recording(disk_.files(), log_);
    repair(recording);
    Image image = open(disk_.files(), Access::read_only);
    after_ = std::make_unique<Shown>(image);
    damages_left_ = image.check({}).damages;
  }

  std::string verdict(const CutState& state) {
    PagedFileSystem files(disk_.files());  // the parent
    const std::vector<std::string> names = log_->files();
    for (size_t i = 0; i < state.files.size(); ++i) files.add(names[i], state.files[i]);
    try {
      if (std::string wrong = judge_left(files); !wrong.empty()) return wrong;
      return judge_repaired(files);
    } catch (const Error& error) {
      return error.what();
    }
  }

  std::string judge_left(FileSystem& files) {
    Image image = open(files, Access::read_only);
    Shown shown(image);
    bool given_up = false;
    for (size_t chunk = 0; chunk < shown.bad.size(); ++chunk) {
      if (!shown.same(*before_, chunk) && !shown.same(*after_, chunk))
        return "chunk " + std::to_string(chunk) + " is neither as before the repair nor as after it";
      given_up = given_up || (before_->bad[chunk] && !shown.bad[chunk]);
    }
    if (given_up && identity_of(image) == cid_) return "data was given up under the old CID";
    if (!gives_up_ && identity_of(image) != cid_) return "nothing was given up, and the CID is another";
    return {};
  }

  std::string judge_repaired(FileSystem& files) {
    repair(files);
    Image image = open(files, Access::read_write);
    if (const CheckReport report = image.check({}); report.damages != damages_left_) return "repaired again, it has " + describe(report);
    Shown shown(image);
    for (size_t chunk = 0; chunk < shown.bad.size(); ++chunk)
      if (!shown.same(*after_, chunk)) return "repaired again, chunk " + std::to_string(chunk) + " is not as after an undisturbed repair";
    if ((identity_of(image) != cid_) != gives_up_) return "repaired again, the CID is " + identity_of(image) + ", it was " + cid_;
    if (damages_left_ != 0) return {};
    ShadowDisk model(image.size());
    model.write(0, shown.content);
    Workload work(image, model, rng_, {.max_length = 20000, .align = 512});
    if (std::string wrong = work.run(5); !wrong.empty()) return "after the repair, " + wrong;
    image.flush();
    if (std::string found = damages(image, false); !found.empty()) return "after the repair and more writes, check finds " + found;
    return model.difference(image);
  }

  TestDisk disk_;
  const Repair how_;
  const bool gives_up_;
  Rng& rng_;
  const std::shared_ptr<EventLog> log_ = std::make_shared<EventLog>();
  FileSet base_;
  std::unique_ptr<Shown> before_;
  std::unique_ptr<Shown> after_;
  uint64_t damages_left_ = 0;
  std::string cid_;
};

bool is_sparse(const Layout& layout) { return layout.config.options.at("subformat").find("Flat") == std::string::npos; }

TEST_CASE("VMDK survives a power cut at any moment of a repair, and the same repair finishes it: 400 distinct states") {
  Rng rng("repair cuts");
  SHOW_SEED(rng);
  std::set<PowerCuts::Hash> distinct;
  const uint64_t wanted = scaled(kStates);
  for (uint64_t round = 0; distinct.size() < wanted && round < 1000; ++round) {
    for (const Layout& layout : vmdk_layouts_to_write()) {
      if (!is_sparse(layout)) continue;
      for (const Damage& damage : kDamages) {
        for (const Repair how : {Repair::safe, Repair::all}) {
          RepairRun run(layout, damage, how, rng);
          const std::string wrong = run.judge(distinct);
          CHECK_MESSAGE(wrong == "",
                        damage.name << " on " << layout.config.name << ", " << (how == Repair::all ? "all" : "safe") << ": " << wrong);
        }
      }
    }
  }
  std::printf("cuts of repairs: %zu distinct states\n", distinct.size());
  CHECK(distinct.size() >= wanted);
}

}  // namespace
}  // namespace varve::test
