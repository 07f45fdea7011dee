#include "native/journal.h"

#include <algorithm>
#include <array>

#include "base/checked_math.h"
#include "base/zero.h"
#include "native/tag.h"
#include "varve/error.h"

namespace varve::native {
namespace {

uint64_t half_offset(const Superblock& s) { return s.journal_offset + s.generation % 2 * (s.journal_length / 2); }

TagBytes tag_of_record(ConstBytes record) {
  auto head = load<JournalRecordRaw>(record);
  head.tag = {};
  return tag_of(bytes_of(head), record.subspan(sizeof(head)));
}

void append_bytes(std::vector<std::byte>& out, ConstBytes bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

/// The half that is replayed.
struct Journal {
  Storage& file;
  const Superblock& superblock;
  uint64_t end;
  const Cipher* cipher;
  std::shared_ptr<const GcmKey> key;  ///< of an encrypted image
};

std::optional<JournalRecordRaw> read_head(const Journal& journal, uint64_t offset) {
  const Superblock& s = journal.superblock;
  if (!range_fits(offset, kBlock, journal.end)) return std::nullopt;
  std::array<std::byte, sizeof(JournalRecordRaw)> bytes;
  journal.file.read_at(offset, bytes);
  const auto head = load<JournalRecordRaw>(bytes);
  if (head.magic != kJournalMagic || head.generation != s.generation || head.chain != s.chain) return std::nullopt;
  return head;
}

/// A record of this superblock at `offset`, which ends before `end`, if its own tag is right.
std::optional<std::vector<std::byte>> read_record(const Journal& journal, uint64_t offset) {
  const uint64_t end = journal.end;
  const auto head = read_head(journal, offset);
  if (!head) return std::nullopt;
  const uint64_t length = head->length;
  if (length % kBlock != 0 || length == 0 || !range_fits(offset, length, end)) return std::nullopt;
  std::vector<std::byte> record(length);
  journal.file.read_at(offset, record);
  if (journal.key != nullptr ? journal.cipher->open_record(*journal.key, record) : tag_of_record(record) == head->tag) return record;
  return std::nullopt;
}

[[noreturn]] void bad(const char* what, uint64_t offset) {
  throw Error(Errc::corrupt, std::string("the journal ") + what)
      .at(offset)
      .hint("what was flushed last is lost; restore the image from a copy");
}

JournalChange parse_change(ConstBytes record, uint64_t index, uint64_t offset, uint64_t disk_size) {
  const auto raw = load<JournalChangeRaw>(record, sizeof(JournalRecordRaw) + index * sizeof(JournalChangeRaw));
  JournalChange change{raw.type, raw.offset, raw.length, {}};
  const bool known = change.type >= kChangeWrite && change.type <= kChangeDiscard && raw.reserved == 0;
  if (!known || !range_fits(change.offset, change.length, disk_size)) bad("holds a change of what can't be changed", offset);
  // Whole blocks: what stands beside a change, in a parent perhaps, need not be known to apply it.
  const uint64_t change_end = change.offset + change.length;
  if (change.offset % kBlock != 0 || (change_end % kBlock != 0 && change_end != disk_size))
    bad("holds a change of part of a block", offset);
  return change;
}

/// All of it or nothing.
std::vector<JournalChange> parse_record(ConstBytes record, uint64_t offset, uint64_t disk_size) {
  const auto head = load<JournalRecordRaw>(record);
  uint64_t at = sizeof(head) + uint64_t{head.changes} * sizeof(JournalChangeRaw);
  if (at > record.size() || head.reserved != 0) bad("holds a record that contradicts itself", offset);
  std::vector<JournalChange> changes;
  for (uint64_t i = 0; i < head.changes; ++i) {
    JournalChange change = parse_change(record, i, offset, disk_size);
    if (change.type == kChangeWrite) {
      if (!range_fits(at, change.length, record.size())) bad("holds a record that contradicts itself", offset);
      change.data = record.subspan(at, change.length);
      at += change.length;
    }
    changes.push_back(change);
  }
  if (!is_zero(record.subspan(at))) bad("holds something behind a record", offset);
  return changes;
}

}  // namespace

JournalWriter::JournalWriter(Storage& file, const Superblock& superblock, const Cipher* cipher)
    : file_(file),
      generation_(superblock.generation),
      chain_(superblock.chain),
      next_(half_offset(superblock)),
      end_(next_ + superblock.journal_length / 2),
      cipher_(cipher),
      key_(cipher != nullptr ? cipher->journal_key(superblock.generation, superblock.session) : nullptr),
      previous_{} {}

bool JournalWriter::append(const std::vector<JournalChange>& changes) {
  std::vector<std::byte> record(sizeof(JournalRecordRaw));
  for (const JournalChange& change : changes) {
    JournalChangeRaw raw{};
    raw.offset = change.offset;
    raw.length = change.length;
    raw.type = change.type;
    append_bytes(record, bytes_of(raw));
  }
  for (const JournalChange& change : changes) append_bytes(record, change.data);
  record.resize(align_up(record.size(), kBlock));
  if (!range_fits(next_, record.size(), end_)) return false;
  JournalRecordRaw head{};
  head.magic = kJournalMagic;
  head.length = static_cast<uint32_t>(record.size());
  head.generation = generation_;
  head.sequence = sequence_;
  head.changes = static_cast<uint32_t>(changes.size());
  head.chain = chain_;
  head.previous = previous_;
  const auto put_head = [&] { std::copy_n(bytes_of(head).begin(), sizeof(head), record.begin()); };
  put_head();
  ++sequence_;  // whatever happens, its nonce is used
  if (key_ != nullptr) {
    cipher_->seal_record(*key_, record);
    head = load<JournalRecordRaw>(record);
  } else {
    head.tag = tag_of_record(record);
    put_head();
  }
  file_.write_at(next_, record);
  next_ += record.size();
  previous_ = head.tag;
  return true;
}

/// Each record was durable before the next one was written: one here or behind that does not come before says that this is not the end.
/// The first place with one that is not whole.
std::optional<uint64_t> look_behind(const Journal& journal, uint64_t next, uint64_t sequence) {
  const uint64_t end = journal.end;
  std::optional<uint64_t> broken;
  uint64_t budget = journal.superblock.journal_length;  // of bytes in records that are not whole: a cut leaves one
  for (uint64_t at = next; at < end; at += kBlock) {
    const auto head = read_head(journal, at);
    if (!head || head->sequence < sequence) continue;
    if (read_record(journal, at)) bad("has lost a record", next);
    const uint64_t length = std::min<uint64_t>(head->length, end - at);
    if (length > budget) bad("holds too many broken records", at);
    budget -= length;
    if (!broken) broken = at;
  }
  return broken;
}

std::optional<uint64_t> replay_journal(Storage& file, const Superblock& s, const std::function<void(const JournalChange&)>& apply,
                                       const Cipher* cipher) {
  if (s.journal_length == 0) return std::nullopt;
  const Journal journal{file, s, half_offset(s) + s.journal_length / 2, cipher,
                        cipher != nullptr ? cipher->journal_key(s.generation, s.session) : nullptr};
  uint64_t next = half_offset(s);
  uint64_t sequence = 1;
  TagBytes previous{};
  while (const auto record = read_record(journal, next)) {
    const auto head = load<JournalRecordRaw>(*record);
    if (head.sequence != sequence || head.previous != previous) break;
    for (const JournalChange& change : parse_record(*record, next, s.head.size)) apply(change);
    next += record->size();
    ++sequence;
    previous = head.tag;
  }
  return look_behind(journal, next, sequence);
}

}  // namespace varve::native
