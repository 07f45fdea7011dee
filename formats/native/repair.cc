// Repairing an image. What a repair writes goes to new places and becomes the image's state by a commit, so a power cut leaves the image
// as it was, or repaired.
#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "native/check.h"
#include "native/mender.h"
#include "native/native_image.h"
#include "varve/error.h"

namespace varve::native {

/// What was done about what a check has found.
struct NativeImage::Mended {
  Repair done = Repair::none;  ///< findings that this mends are mended
  bool trees = false;          ///< those in the trees, too
  std::map<Place, std::vector<Interval>> lost = {};
};

namespace {

/// A round may bring to light what could not be seen before, such as below a node that came back. Each mends something.
constexpr int kMaxRounds = 100;

/// The finding for the parts of the disk that really are lost.
void add_lost(CheckReport& report, const Finding& finding, const std::vector<Interval>& runs) {
  const uint64_t begin = *finding.disk_offset;
  const uint64_t end = begin + finding.disk_length;
  bool any = false;
  for (const Interval& run : runs) {
    if (run.offset >= end || run.end() <= begin) continue;
    Finding part = finding;
    part.disk_offset = std::max(begin, run.offset);
    part.disk_length = std::min(end, run.end()) - *part.disk_offset;
    report.add(std::move(part));
    any = true;
  }
  if (any) return;
  Finding none = finding;
  none.message += "; all that it led to was found with what is based on it";
  none.disk_offset.reset();
  none.disk_length = 0;
  report.add(std::move(none));
}

CheckReport report_of(CheckResult found, Repair done, bool trees, const std::map<Place, std::vector<Interval>>& lost) {
  CheckReport report = std::move(found.totals);
  for (Found& one : found.found) {
    one.finding.repaired = one.by != Repair::none && one.by <= done && (trees || !one.place);
    const auto runs = one.place ? lost.find(*one.place) : lost.end();
    if (one.finding.repaired && runs != lost.end() && one.finding.disk_offset)
      add_lost(report, one.finding, runs->second);
    else
      report.add(std::move(one.finding));
  }
  return report;
}

/// What an earlier round has mended comes first.
void append(CheckReport& report, CheckReport last) {
  CheckReport mended = std::move(report);
  report = std::move(last);
  report.repaired += mended.repaired;
  report.findings.insert(report.findings.begin(), std::make_move_iterator(mended.findings.begin()),
                         std::make_move_iterator(mended.findings.end()));
  if (report.findings.size() > CheckReport::kMaxFindings) report.findings.resize(CheckReport::kMaxFindings);
}

CheckReport only_repaired(CheckReport report) {
  std::erase_if(report.findings, [](const Finding& finding) { return !finding.repaired; });
  return report;
}

}  // namespace

CheckReport NativeImage::check(const CheckOptions& options) {
  if (touched_ || parts_.created) flush();
  std::unique_lock lock(change_mutex_);
  if (options.repair != Repair::none && parts_.writable && !parts_.created) return repair(options, lock);
  return report_of(look_at(*this, options), Repair::none, false, {});
}

CheckReport NativeImage::repair(const CheckOptions& options, std::unique_lock<std::mutex>& lock) {
  CheckOptions how = options;
  if (options.repair == Repair::all) how.data = true;  // nothing that can't be read is to stay
  CheckReport report;
  for (int round = 0;; ++round) {
    CheckResult found = look_at(*this, how);
    Mended mended = round < kMaxRounds ? mend(found, options.repair, lock) : Mended();
    CheckReport now = report_of(std::move(found), mended.done, mended.trees, mended.lost);
    const bool last = mended.done == Repair::none;
    append(report, last ? std::move(now) : only_repaired(std::move(now)));
    if (last) return report;
  }
}

/// Would what the journal holds go into the trees?
bool NativeImage::can_commit(const CheckResult& found) {
  if (catalog_fault_ || journal_fault_) return false;
  if (dirty_.empty() && !head_.changed()) return true;
  if (!found.damage.faults.empty() || found.damage.beyond_repair || head_.changed()) return false;
  try {
    std::vector<std::byte> cluster(cluster_size());
    for (const DirtyBlocks::Ticket& ticket : dirty_.all()) {
      const uint64_t start = ticket.cluster * cluster_size();
      for (const DirtyBlocks::Gap& gap : dirty_.read(start, cluster))
        read_base(gap.offset, MutableBytes(cluster).subspan(gap.offset - start, gap.length));
    }
  } catch (const Error& error) {
    if (error.code() != Errc::corrupt) throw;
    return false;
  }
  return true;
}

NativeImage::Mended NativeImage::mend(const CheckResult& found, Repair how, std::unique_lock<std::mutex>& lock) {
  const bool damaged = catalog_fault_ || journal_fault_ || !found.damage.faults.empty();
  const bool all = how == Repair::all && damaged && !found.damage.beyond_repair;
  if (!all && !(found.copies && can_commit(found))) return {};
  Mended mended{all ? Repair::all : Repair::safe};
  const bool lost = std::exchange(catalog_fault_, std::nullopt).has_value();
  catalog_lost_ = catalog_lost_ || lost;  // before the session begins, which may look for free space
  journal_fault_.reset();
  lock.unlock();
  begin_session();
  lock.lock();
  if (lost) lose_catalog();
  // Zeros from the journal are in the head already: another round sees it as it is then.
  if (all && !head_.changed()) mend_objects(found, mended);
  commit();
  broken_tail_.reset();
  return mended;
}

void NativeImage::lose_catalog() {
  catalog_ = {};
  catalog_at_open_ = {};
  catalog_changed_ = true;
  head_parent_ = 0;
  durable_.catalog = {};  // what it holds is not known, so nothing of it is given back
  durable_.head.parent = 0;
  head_.set_parent(0);
}

void NativeImage::mend_objects(const CheckResult& found, Mended& mended) {
  Mender mender(extents_, space_, found, building());
  std::vector<Object> objects = mender.run();
  auto next = objects.begin() + 1;
  for (Snapshot& snapshot : catalog_.snapshots) snapshot.object = *next++;
  for (OtherRecord& record : catalog_.others)
    for (Object& object : record.objects) object = *next++;
  next->parent = durable_.head.parent;
  {
    const std::unique_lock lock(tree_mutex_);
    head_ = Tree(extents_, *next, [this] { return space_.end(); });
  }
  if (found.catalog) durable_.catalog = {};
  catalog_changed_ = true;
  sessions_changed_ = cipher() != nullptr;  // the table says what was rewritten
  mended.trees = true;
  mended.lost = mender.lost();
}

}  // namespace varve::native
