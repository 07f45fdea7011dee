#include "support/power_cut.h"

#include <algorithm>
#include <array>
#include <utility>

namespace varve::test {

namespace {

constexpr size_t kAllSubsetsUpTo = 5;  // writes in an epoch
constexpr size_t kSampledSubsets = 24;

/// Of the files so far and the next one.
PowerCuts::Hash mix(const PowerCuts::Hash& all, const PowerCuts::Hash& next) {
  const std::array<PowerCuts::Hash, 2> both = {all, next};
  return hash_of(both.data(), sizeof both);
}

}  // namespace

PowerCuts::PowerCuts(FileSet base, std::vector<StorageEvent> log, Rng& rng, Tearing tearing)
    : durable_(std::move(base)), log_(std::move(log)), rng_(rng), tearing_(tearing) {}

void PowerCuts::enumerate(std::set<Hash>& distinct, const Promise& promise, const Visit& visit, size_t from) {
  distinct_ = &distinct;
  promise_ = &promise;
  visit_ = &visit;
  FileSet now = durable_;
  for (size_t i = 0; i < log_.size(); ++i) {
    if (log_[i].kind == StorageEvent::Kind::publish) continue;
    if (log_[i].kind != StorageEvent::Kind::flush) {
      pending_.push_back(widen(log_[i], now, i));
      continue;
    }
    if (i >= from) cut_before(i);
    complete_flush(log_[i].file);
    window_begin_ = i + 1;
  }
  cut_before(log_.size());
}

void PowerCuts::complete_flush(size_t file) {
  std::vector<Unit> still_pending;
  for (Unit& unit : pending_) {
    if (unit.file == file) {
      apply(durable_, unit);
    } else {
      still_pending.push_back(std::move(unit));
    }
  }
  pending_ = std::move(still_pending);
}

PowerCuts::Unit PowerCuts::widen(const StorageEvent& event, FileSet& now, size_t position) const {
  PagedFile& file = now.at(event.file);
  Unit unit{event.kind == StorageEvent::Kind::resize, event.file, event.offset, {}, file.size(), position};
  if (unit.resize) {
    file.resize(event.offset);
    return unit;
  }
  if (event.kind == StorageEvent::Kind::punch) {
    const uint64_t end = std::min<uint64_t>(file.size(), event.offset + event.length);
    file.clear(event.offset, end - std::min(end, event.offset));
  } else {
    file.write(event.offset, event.data);
  }
  const uint64_t begin = event.offset / tearing_.unit * tearing_.unit;
  const uint64_t end = std::min<uint64_t>((event.offset + event.length + tearing_.unit - 1) / tearing_.unit * tearing_.unit, file.size());
  unit.offset = begin;
  unit.data.resize(static_cast<size_t>(end - std::min(begin, end)));
  file.read(begin, unit.data);
  return unit;
}

void PowerCuts::apply(FileSet& files, const Unit& unit) {
  if (unit.resize) {
    files[unit.file].resize(unit.offset);
  } else {
    files[unit.file].write(unit.offset, unit.data);
  }
}

void PowerCuts::apply_torn(FileSet& files, const Unit& unit, const Mask& sectors) {
  for (size_t i = 0; i < sectors.size(); ++i) {
    const size_t from = i * tearing_.unit;
    const size_t n = std::min<size_t>(tearing_.unit, unit.data.size() - from);
    if (sectors[i]) {
      files[unit.file].write(unit.offset + from, ConstBytes(unit.data).subspan(from, n));
    } else if (tearing_.garbage && rng_.one_in(2)) {
      files[unit.file].write(unit.offset + from, std::vector<std::byte>(n, std::byte{0xa7}));
    }
  }
}

void PowerCuts::cut_before(size_t position) {
  prefixes(position);
  subsets(position);
  torn(position);
  sizes();
  ++window_;
}

void PowerCuts::prefixes(size_t position) {
  FileSet files = durable_;
  for (size_t i = 0; i <= pending_.size(); ++i) {
    emit(files, i < pending_.size() ? pending_[i].position : position, "the first " + std::to_string(i) + " writes");
    if (i < pending_.size()) apply(files, pending_[i]);
  }
}

void PowerCuts::keep(const Mask& chosen, size_t position, const std::string& name) {
  FileSet files = durable_;
  for (size_t i = 0; i < chosen.size(); ++i)
    if (chosen[i]) apply(files, pending_[i]);
  emit(std::move(files), position, name);
}

void PowerCuts::subsets(size_t position) {
  const size_t n = pending_.size();
  for (size_t i = 0; i < n; ++i) {
    Mask mask(n, true);
    mask[i] = false;
    keep(mask, position, "without write " + std::to_string(i));
    mask.flip();
    keep(mask, position, "only write " + std::to_string(i));
  }
  const bool all = n <= kAllSubsetsUpTo;
  const uint64_t rounds = all ? uint64_t{1} << n : kSampledSubsets;
  for (uint64_t round = 0; round < rounds; ++round) {
    Mask mask(n);
    for (size_t i = 0; i < n; ++i) mask[i] = all ? ((round >> i) & 1) != 0 : rng_.one_in(2);
    keep(mask, position, "subset " + std::to_string(round));
  }
}

/// Each write torn in four ways after those before it, and in two of them among all others: what came later may be there whole.
void PowerCuts::torn(size_t position) {
  FileSet files = durable_;
  for (size_t i = 0; i < pending_.size(); ++i) {
    const Unit& unit = pending_[i];
    const size_t sectors = (unit.data.size() + tearing_.unit - 1) / tearing_.unit;
    const size_t split = static_cast<size_t>(rng_.between(1, std::max<size_t>(sectors, 2) - 1));
    for (int variant = 0; variant < 4 && (sectors > 1 || tearing_.garbage); ++variant) {
      Mask mask(sectors);
      for (size_t s = 0; s < sectors; ++s) mask[s] = variant == 0 ? s < split : variant == 1 ? s >= split : rng_.one_in(2);
      FileSet state = files;
      apply_torn(state, unit, mask);
      const std::string name = "write " + std::to_string(i) + " torn, variant " + std::to_string(variant);
      emit(state, unit.position + 1, name, unit.offset);
      if (variant % 2 != 0 || i + 1 == pending_.size()) continue;
      for (size_t later = i + 1; later < pending_.size(); ++later) apply(state, pending_[later]);
      emit(std::move(state), position, name + ", all others whole", unit.offset);
    }
    apply(files, unit);
  }
}

void PowerCuts::sizes() {
  FileSet files = durable_;
  for (size_t i = 0; i < pending_.size(); ++i) {
    const Unit& unit = pending_[i];
    const uint64_t size_before = files[unit.file].size();
    FileSet with_size = files;
    apply(files, unit);
    if (unit.resize || files[unit.file].size() <= size_before) continue;
    with_size[unit.file].resize(files[unit.file].size());
    emit(std::move(with_size), unit.position + 1, "write " + std::to_string(i) + " left its size without its data");
    FileSet with_data = files;
    with_data[unit.file].resize(size_before);
    emit(std::move(with_data), unit.position + 1, "write " + std::to_string(i) + " left its data without its size");
  }
}

void PowerCuts::emit(FileSet files, size_t position, const std::string& name, std::optional<uint64_t> torn) {
  Hash key{};
  for (const PagedFile& file : files) key = mix(key, file.hash());
  position = std::max(position, window_begin_);
  if (!visited_.insert({key, (*promise_)(position)}).second) return;
  distinct_->insert(key);
  (*visit_)({std::move(files), position, "window " + std::to_string(window_) + ", " + name, torn});
}

}  // namespace varve::test
