#include "vmdk/table_cache.h"

#include <algorithm>
#include <string>

#include "base/checked_math.h"
#include "base/endian.h"
#include "base/zero.h"
#include "varve/error.h"

namespace varve::vmdk {
namespace {

constexpr uint64_t kMaxEntriesPerPiece = 32768;  // 256 KiB of memory
constexpr uint64_t kMaxPieces = 32;

/// What is left for pieces.
uint64_t bytes_for_pieces(const TableLayout& layout, uint64_t bytes) {
  const uint64_t used = layout.tables.size() * sizeof(uint64_t);
  if (used > bytes) throw Error(Errc::limit, "the grain directory exceeds the limit for metadata");
  return bytes - used;
}

/// Pieces of many tables if four of them have room, else smaller ones.
uint64_t tables_per_piece(const TableLayout& layout, uint64_t bytes) {
  const uint64_t entries = std::min(kMaxEntriesPerPiece, bytes_for_pieces(layout, bytes) / 4 / sizeof(uint64_t));
  return std::max<uint64_t>(1, entries / layout.entries_per_table);
}

template <typename T>
uint64_t entry_of(const std::vector<std::byte>& raw, uint64_t index) {
  return varve::load<T>(raw, index * sizeof(T));
}

}  // namespace

TableCache::TableCache(std::shared_ptr<Storage> file, TableLayout layout, uint64_t bytes)
    : file_(std::move(file)),
      layout_(std::move(layout)),
      tables_per_piece_(tables_per_piece(layout_, bytes)),
      max_pieces_(
          std::min(kMaxPieces, bytes_for_pieces(layout_, bytes) / (tables_per_piece_ * layout_.entries_per_table * sizeof(uint64_t)))) {
  // RES-11: tables that lie on each other would make every loop over grains longer than the file.
  const uint64_t size = file_->size();
  const uint64_t table_bytes = uint64_t{layout_.entries_per_table} * layout_.entry_size;
  const auto named = std::count_if(layout_.tables.begin(), layout_.tables.end(),
                                   [&](uint64_t place) { return place != 0 && range_fits(place, table_bytes, size); });
  if (static_cast<uint64_t>(named) > size / table_bytes)
    throw Error(Errc::corrupt, "the grain directory names more tables than the file has room for").in(file_->name());
}

TableCache::Piece TableCache::piece(uint64_t grain) {
  const uint64_t index = grain / (tables_per_piece_ * layout_.entries_per_table);
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = places_.find(index); found != places_.end()) {
      recent_.splice(recent_.begin(), recent_, found->second);
      return found->second->second;
    }
  }
  const uint64_t first = index * tables_per_piece_;
  const uint64_t last = std::min<uint64_t>(first + tables_per_piece_, layout_.tables.size());
  // A table that can't be read must not take its neighbours along.
  if (!places_fit(first, last)) return load(grain / layout_.entries_per_table, grain / layout_.entries_per_table + 1);
  Piece loaded = load(first, last);
  const std::lock_guard lock(mutex_);
  if (!places_.contains(index)) {
    recent_.emplace_front(index, loaded);
    places_[index] = recent_.begin();
    if (recent_.size() > max_pieces_) {
      places_.erase(recent_.back().first);
      recent_.pop_back();
    }
  }
  return loaded;
}

bool TableCache::places_fit(uint64_t first, uint64_t last) const {
  const uint64_t size = file_->size();
  const uint64_t table_bytes = uint64_t{layout_.entries_per_table} * layout_.entry_size;
  return std::all_of(layout_.tables.begin() + static_cast<std::ptrdiff_t>(first),
                     layout_.tables.begin() + static_cast<std::ptrdiff_t>(last),
                     [&](uint64_t place) { return place == 0 || range_fits(place, table_bytes, size); });
}

TableCache::Piece TableCache::load(uint64_t first, uint64_t last) const {
  const uint64_t table_bytes = uint64_t{layout_.entries_per_table} * layout_.entry_size;
  Piece piece;
  piece.first = first * layout_.entries_per_table;
  piece.count = std::min((last - first) * layout_.entries_per_table, layout_.grains - piece.first);
  std::vector<uint64_t> entries;
  for (uint64_t table = first; table < last;) {
    const uint64_t begin = layout_.tables[table];
    uint64_t count = 1;
    while (begin != 0 && table + count < last && layout_.tables[table + count] == begin + count * table_bytes) ++count;
    if (begin != 0) load_run(table, count, (table - first) * layout_.entries_per_table, entries);
    table += count;
  }
  if (!entries.empty()) {
    entries.resize(piece.count);
    piece.entries = std::make_shared<const std::vector<uint64_t>>(std::move(entries));
  }
  return piece;
}

/// Reads `count` tables that lie side by side. `entries` stays empty as long as all are zero.
void TableCache::load_run(uint64_t table, uint64_t count, uint64_t into, std::vector<uint64_t>& entries) const {
  const uint64_t offset = layout_.tables[table];
  const uint64_t number = count * layout_.entries_per_table;
  const uint64_t length = number * layout_.entry_size;
  if (!range_fits(offset, length, file_->size()))
    throw Error(Errc::corrupt, "a grain table lies outside the file").in(file_->name()).at(offset);
  const StorageExtent run = file_->extent_at(offset);
  if (run.hole && run.length >= length) return;
  std::vector<std::byte> raw(length);
  file_->read_at(offset, raw);
  if (is_zero(raw)) return;
  entries.resize(tables_per_piece_ * layout_.entries_per_table);
  for (uint64_t i = 0; i < number; ++i) entries[into + i] = layout_.entry_size == 4 ? entry_of<le32>(raw, i) : entry_of<le64>(raw, i);
}

}  // namespace varve::vmdk
