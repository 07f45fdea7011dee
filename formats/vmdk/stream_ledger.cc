#include "vmdk/stream_ledger.h"

#include <algorithm>
#include <string>

#include "base/checked_math.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kPrime = (uint64_t{1} << 61) - 1;
__extension__ using Wide = unsigned __int128;

/// a * b + c modulo kPrime, of numbers below it.
uint64_t multiply_add(uint64_t a, uint64_t b, uint64_t c) {
  const Wide wide = Wide{a} * b + c;
  const uint64_t folded = static_cast<uint64_t>(wide & kPrime) + static_cast<uint64_t>(wide >> 61);
  return folded >= kPrime ? folded - kPrime : folded;
}

Error disagreement(uint64_t table, const char* what) {
  return Error(Errc::corrupt, "grain table " + std::to_string(table) + what).hint("fetch the stream again");
}

}  // namespace

StreamLedger::StreamLedger(const SparseHeader& header, const Limits& limits, uint64_t key)
    : zeroed_grains_(header.has_zeroed_grains()),
      max_sums_(limits.metadata_bytes / 4 / sizeof(Sum)),  // a vector that grows takes up to three times its contents
      key_(key % kPrime),
      current_entries_(header.gtes_per_gt) {}

/// 0 for a table that names no grain.
uint64_t StreamLedger::sum_of(std::span<const le32> entries) const {
  uint64_t sum = 0;
  for (const uint32_t entry : entries) sum = multiply_add(sum, key_, entry == 1 && zeroed_grains_ ? 0 : entry);
  return sum;
}

void StreamLedger::add(std::vector<Sum>& sums, Sum sum) {
  if (tables_.size() + expected_.size() >= max_sums_) throw Error(Errc::limit, "the stream has more grain tables than may be remembered");
  sums.push_back(sum);
}

void StreamLedger::add_grain(uint64_t number, uint64_t sector) {
  const uint64_t table = number / current_entries_.size();
  if (table != current_) finish_table();
  current_ = table;
  current_used_ = true;
  current_entries_[number % current_entries_.size()] = checked_narrow<uint32_t>(sector, "the place of a grain");
}

void StreamLedger::finish_table() {
  if (current_used_) add(expected_, {current_, sum_of(current_entries_)});
  current_used_ = false;
  std::fill(current_entries_.begin(), current_entries_.end(), le32(0));
}

void StreamLedger::add_table(uint64_t sector, std::span<const le32> entries) { add(tables_, {sector, sum_of(entries)}); }

const StreamLedger::Sum* StreamLedger::table_in(uint64_t sector) const {
  const auto found = std::lower_bound(tables_.begin(), tables_.end(), sector, [](const Sum& sum, uint64_t s) { return sum.of < s; });
  return found != tables_.end() && found->of == sector ? &*found : nullptr;
}

void StreamLedger::require_agreement(std::span<const le32> directory) {
  finish_table();
  auto expected = expected_.begin();
  for (uint64_t i = 0; i < directory.size(); ++i) {
    const bool used = expected != expected_.end() && expected->of == i;
    const uint64_t wanted = used ? (expected++)->value : 0;
    const uint32_t sector = directory[i];
    const Sum* const table = table_in(sector);
    if (sector != 0 && table == nullptr) throw disagreement(i, " is not where the directory places it");
    if ((sector == 0 ? 0 : table->value) != wanted) throw disagreement(i, " names other grains than the stream holds");
  }
}

}  // namespace varve::vmdk
