#include "faults/bench.h"

#include <algorithm>

#include "support/image_kit.h"
#include "support/seeds.h"
#include "support/test.h"

namespace varve::test {

MemoryBench::MemoryBench(const FileSet& files, std::shared_ptr<FaultPlan> plan) : plan_(std::move(plan)), faulty_(memory_, plan_) {
  for (const auto& [name, bytes] : files) bytes.write_to(*memory_.add(path(name)));
}

FileSet MemoryBench::contents() {
  FileSet all;
  for (const std::string& path : memory_.paths()) all.emplace(path.substr(4), FileBytes(*memory_.find(path)));
  return all;
}

void Witness::saw(const Error& error) noexcept {
  const size_t code = std::min(static_cast<size_t>(error.code()), lines_.size() - 1);
  const bool first = (codes_ >> code & 1) == 0;
  codes_ |= uint64_t{1} << code;
  if (!first) return;
  const std::string_view line = error.what();
  std::copy_n(line.begin(), std::min(line.size(), lines_[code].size() - 1), lines_[code].begin());
}

std::string Witness::other_than(const std::vector<Errc>& codes) const {
  for (size_t code = 0; code < lines_.size(); ++code) {
    if ((codes_ >> code & 1) == 0 || std::find(codes.begin(), codes.end(), static_cast<Errc>(code)) != codes.end()) continue;
    return lines_[code].data();
  }
  return {};
}

bool Attempt::carry_out() {
  return try_to([this] { run(); });
}

std::string difference(const FileSet& before, const FileSet& now, const std::vector<std::string>& may_differ) {
  const auto excused = [&](const std::string& name) { return std::find(may_differ.begin(), may_differ.end(), name) != may_differ.end(); };
  for (const auto& [name, bytes] : before) {
    if (excused(name)) continue;
    const auto found = now.find(name);
    if (found == now.end()) return name + " is gone";
    if (found->second != bytes) return name + " has changed";
  }
  for (const auto& [name, bytes] : now)
    if (!before.contains(name) && !excused(name)) return name + " has been left";
  return {};
}

std::string damages_after(const Circumstances& how, Image& image) {
  const std::string found = damages(image);
  const bool one = std::count(found.begin(), found.end(), '\n') == 1;
  const bool excused = how.torn && one && found.starts_with("damage: the other superblock does not count: its tag is wrong");
  return excused ? std::string() : found;
}

void report(const std::string& what, uint64_t injected, uint64_t at_least) {
  MESSAGE(what << ": " << injected);
  if (stride() == 1) REQUIRE(injected >= at_least);
}

}  // namespace varve::test
