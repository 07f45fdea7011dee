#include "native/cipher.h"

#include <algorithm>
#include <cstring>

#include "base/checked_math.h"
#include "base/zero.h"
#include "crypto/fork_count.h"
#include "crypto/kdf.h"
#include "varve/error.h"

namespace varve::native {
namespace {

constexpr size_t kCachedKeys = 1024;
/// One key is for this many units of the file, in one generation: so for no more extents (docs/security.md says why).
constexpr uint64_t kUnitsOfAKey = uint64_t{1} << 22;

/// The numbers that a key or a message is bound to.
class Binding {
 public:
  explicit Binding(ConstBytes first) { add(first); }
  Binding& add(ConstBytes bytes) {
    std::memcpy(bytes_.data() + size_, bytes.data(), bytes.size());
    size_ += bytes.size();
    return *this;
  }
  Binding& add(uint64_t number) {
    const le64 value = number;
    return add(bytes_of(value));
  }
  ConstBytes bytes() const { return ConstBytes(bytes_).first(size_); }

 private:
  std::array<std::byte, 96> bytes_{};
  size_t size_ = 0;
};

ConstBytes text(const char* label) { return std::as_bytes(std::span(label, std::strlen(label))); }

/// 48 bits each.
GcmNonce nonce_from(uint64_t first, uint64_t second) {
  GcmNonce nonce;
  const le64 a = first;
  const le64 b = second;
  std::memcpy(nonce.data(), &a, 6);
  std::memcpy(nonce.data() + 6, &b, 6);
  return nonce;
}

constexpr size_t kClearEnd = offsetof(SuperblockRaw, head);
/// What of a record is encrypted besides all behind its head: how many changes there are.
constexpr size_t kChanges = offsetof(JournalRecordRaw, changes);
constexpr size_t kChain = offsetof(JournalRecordRaw, chain);

}  // namespace

Cipher::Cipher(const Uuid& crypt_uuid, uint64_t unit, MasterKeys keys)
    : crypt_uuid_(crypt_uuid), unit_(unit), forks_(fork_count()), keys_(std::move(keys)) {}

void Cipher::require_own_process() const {
  if (fork_count() == forks_) return;
  throw Error(Errc::io, "an encrypted image was opened before this process was forked from another one").hint("open it in this process");
}

// ---- keys ------------------------------------------------------------------------------------------------

const Secret& Cipher::master(uint32_t epoch) const {
  for (const MasterKey& key : keys_)
    if (key.epoch == epoch) return key.key;
  throw Error(Errc::corrupt, "something is encrypted under a master key that no slot holds any more");
}

Cipher::KeyPtr Cipher::derive(const char* label, const Session& session, uint64_t generation, uint64_t part) const {
  Binding info(text(label));
  info.add(std::as_bytes(std::span(crypt_uuid_.bytes))).add(generation).add(part);
  return std::make_shared<const GcmKey>(
      hkdf_sha256(master(session.epoch).bytes(), std::as_bytes(std::span(session.salt)), info.bytes(), kGcmKeySize).bytes());
}

Session Cipher::session_of(uint64_t generation) const {
  const std::shared_lock lock(table_mutex_);
  const auto behind = std::partition_point(sessions_.begin(), sessions_.end(), [&](const Session& s) { return s.first <= generation; });
  if (behind == sessions_.begin()) throw Error(Errc::corrupt, "something was written before the first session");
  return *(behind - 1);
}

Cipher::KeyPtr Cipher::data_key(uint64_t generation, uint64_t offset) {
  const DataKey wanted{generation, offset / unit_ / kUnitsOfAKey};
  {
    const std::lock_guard lock(cache_mutex_);
    if (const auto known = cached_.find(wanted); known != cached_.end()) {
      order_.splice(order_.begin(), order_, known->second);
      return known->second->second;
    }
  }
  const Session session = session_of(generation);
  KeyPtr key;
  {
    const std::shared_lock lock(table_mutex_);
    key = derive("varve data", session, generation, wanted.part);
  }
  const std::lock_guard lock(cache_mutex_);
  if (const auto known = cached_.find(wanted); known != cached_.end()) return known->second->second;
  order_.emplace_front(wanted, key);
  cached_.emplace(wanted, order_.begin());
  if (order_.size() > kCachedKeys) {
    cached_.erase(order_.back().first);
    order_.pop_back();
  }
  return key;
}

// ---- sessions ----------------------------------------------------------------------------------------------

void Cipher::begin_session(uint64_t first, RandomSource& random) {
  Session session;
  session.first = first;
  random.fill(std::as_writable_bytes(std::span(session.salt)));
  const std::unique_lock lock(table_mutex_);
  session.epoch = keys_.back().epoch;
  // What a session wrote that never made a commit is referred to by nothing.
  while (!sessions_.empty() && sessions_.back().first >= first) sessions_.pop_back();
  sessions_.push_back(session);
  current_ = session;
  begun_ = true;
}

void Cipher::note_rewrite(uint64_t offset, uint64_t length, uint64_t generation) {
  const std::unique_lock lock(table_mutex_);
  if (!rewrites_.empty() && rewrites_.back().generation == generation && rewrites_.back().end == offset)
    rewrites_.back().end += length;
  else
    rewrites_.push_back({offset, offset + length, generation});
}

void Cipher::add_master_key(MasterKey key) {
  const std::unique_lock lock(table_mutex_);
  keys_.push_back(std::move(key));
}

void Cipher::forget_older_sessions() {
  const std::unique_lock lock(table_mutex_);
  std::erase_if(sessions_, [&](const Session& s) { return s.epoch != keys_.back().epoch; });
  std::erase_if(rewrites_, [&](const Rewrite& r) { return r.generation < sessions_.front().first; });
}

void Cipher::forget_older_keys() {
  const std::unique_lock lock(table_mutex_);
  keys_.erase(keys_.begin(), keys_.end() - 1);
}

bool Cipher::uses_older_epochs() const {
  const std::shared_lock lock(table_mutex_);
  return std::any_of(sessions_.begin(), sessions_.end(), [&](const Session& s) { return s.epoch != keys_.back().epoch; });
}

std::vector<std::byte> Cipher::session_table() const {
  const std::shared_lock lock(table_mutex_);
  std::vector<std::byte> table;
  const auto append = [&](ConstBytes bytes) { table.insert(table.end(), bytes.begin(), bytes.end()); };
  SessionTableRaw head{};
  head.magic = kSessionsMagic;
  head.sessions = static_cast<uint32_t>(sessions_.size());
  head.rewrites = static_cast<uint32_t>(rewrites_.size());
  append(bytes_of(head));
  for (const Session& session : sessions_) {
    SessionRaw raw{};
    raw.first = session.first;
    raw.epoch = session.epoch;
    raw.salt = session.salt;
    append(bytes_of(raw));
  }
  for (const Rewrite& rewrite : rewrites_) {
    RewriteRaw raw{};
    raw.begin = rewrite.begin;
    raw.end = rewrite.end;
    raw.generation = rewrite.generation;
    append(bytes_of(raw));
  }
  table.resize(align_up(table.size(), kBlock));
  if (table.size() > kMaxSessionTable)
    throw Error(Errc::limit, "the image was opened for writing too often").hint("`varve key rotate` makes room, or convert the image");
  return table;
}

void Cipher::load_session_table(ConstBytes table, const Session& of_superblock) {
  const auto bad = [] { throw Error(Errc::corrupt, "the table of sessions contradicts itself"); };
  const auto head = load<SessionTableRaw>(table);
  const uint64_t sessions_end = sizeof(head) + uint64_t{head.sessions} * sizeof(SessionRaw);
  const uint64_t end = sessions_end + uint64_t{head.rewrites} * sizeof(RewriteRaw);
  if (head.magic != kSessionsMagic || head.reserved != 0 || head.sessions == 0 || end > table.size() || !is_zero(table.subspan(end))) bad();
  std::vector<Session> sessions;
  for (uint64_t at = sizeof(head); at < sessions_end; at += sizeof(SessionRaw)) {
    const auto raw = load<SessionRaw>(table, at);
    const uint64_t before = sessions.empty() ? 0 : sessions.back().first;
    if (raw.first <= before || raw.first > kMaxGeneration || raw.reserved != 0) bad();
    sessions.push_back({raw.first, raw.epoch, raw.salt});
  }
  if (sessions.back().salt != of_superblock.salt || sessions.back().epoch != of_superblock.epoch) bad();
  std::vector<Rewrite> rewrites;
  for (uint64_t at = sessions_end; at < end; at += sizeof(RewriteRaw)) {
    const auto raw = load<RewriteRaw>(table, at);
    if (raw.begin >= raw.end || raw.generation == 0 || raw.generation > kMaxGeneration) bad();
    rewrites.push_back({raw.begin, raw.end, raw.generation});
  }
  const std::unique_lock lock(table_mutex_);
  sessions_ = std::move(sessions);
  rewrites_ = std::move(rewrites);
}

// ---- extents -----------------------------------------------------------------------------------------------

/// In which generation its bytes were encrypted.
uint64_t Cipher::written_in(const Pointer& pointer) const {
  const std::shared_lock lock(table_mutex_);
  uint64_t generation = pointer.birth;
  for (const Rewrite& rewrite : rewrites_)
    if (pointer.offset >= rewrite.begin && pointer.offset < rewrite.end) generation = std::max(generation, rewrite.generation);
  return generation;
}

GcmNonce Cipher::nonce_of(const Pointer& pointer, uint64_t generation) const { return nonce_from(pointer.offset / unit_, generation); }

/// All that the pointer says. Where it stands is bound by the tag of the node that holds it, and so on up to the superblock.
std::array<uint8_t, 48> Cipher::associated_with(const Pointer& pointer, uint64_t generation) const {
  Binding binding(std::as_bytes(std::span(crypt_uuid_.bytes)));
  const uint64_t what = uint64_t{static_cast<uint8_t>(pointer.kind)} | uint64_t{pointer.level} << 8 |
                        uint64_t{static_cast<uint8_t>(pointer.codec)} << 16 | uint64_t{pointer.skip} << 24;
  binding.add(what).add(pointer.length).add(pointer.birth).add(generation);
  std::array<uint8_t, 48> all{};
  std::memcpy(all.data(), binding.bytes().data(), all.size());
  return all;
}

TagBytes Cipher::seal(const Pointer& pointer, ConstBytes in, MutableBytes out) {
  require_own_process();
  const uint64_t generation = written_in(pointer);
  const auto associated = associated_with(pointer, generation);
  return data_key(generation, pointer.offset)->seal(nonce_of(pointer, generation), std::as_bytes(std::span(associated)), in, out);
}

bool Cipher::open(const Pointer& pointer, MutableBytes bytes) {
  require_own_process();
  const uint64_t generation = written_in(pointer);
  const auto associated = associated_with(pointer, generation);
  return data_key(generation, pointer.offset)
      ->open(nonce_of(pointer, generation), std::as_bytes(std::span(associated)), bytes, bytes, pointer.tag);
}

TagBytes Cipher::seal_table(const Pointer& pointer, const Session& session, MutableBytes bytes) const {
  require_own_process();
  const auto associated = associated_with(pointer, pointer.birth);
  const std::shared_lock lock(table_mutex_);
  return derive("varve sessions", session, pointer.birth, 0)
      ->seal(nonce_of(pointer, pointer.birth), std::as_bytes(std::span(associated)), bytes, bytes);
}

bool Cipher::open_table(const Pointer& pointer, const Session& session, MutableBytes bytes) const {
  require_own_process();
  const auto associated = associated_with(pointer, pointer.birth);
  const std::shared_lock lock(table_mutex_);
  return derive("varve sessions", session, pointer.birth, 0)
      ->open(nonce_of(pointer, pointer.birth), std::as_bytes(std::span(associated)), bytes, bytes, pointer.tag);
}

// ---- superblocks ---------------------------------------------------------------------------------------------

namespace {

/// What stands in clear, but for the nonce and the clean mark, which is not in clear.
Binding clear_part(const Uuid& crypt_uuid, const SuperblockRaw& raw) {
  Binding binding(std::as_bytes(std::span(crypt_uuid.bytes)));
  return binding.add(bytes_of(raw).first(offsetof(SuperblockRaw, nonce))).add(std::as_bytes(std::span(raw.salt)));
}

std::array<GcmPiece, 2> secret_parts(SuperblockRaw& raw) {
  const MutableBytes bytes = std::as_writable_bytes(std::span(&raw, 1));
  const MutableBytes flags = bytes.subspan(offsetof(SuperblockRaw, flags), sizeof(raw.flags));
  const MutableBytes body = bytes.subspan(kClearEnd, offsetof(SuperblockRaw, tag) - kClearEnd);
  return {GcmPiece{flags, flags}, GcmPiece{body, body}};
}

}  // namespace

void Cipher::seal(SuperblockRaw& raw, RandomSource& random) const {
  require_own_process();
  const std::shared_lock lock(table_mutex_);
  raw.salt = current_.salt;
  random.fill(std::as_writable_bytes(std::span(raw.nonce)));
  raw.tag =
      derive("varve superblock", current_, raw.generation, 0)->seal(raw.nonce, clear_part(crypt_uuid_, raw).bytes(), secret_parts(raw));
}

std::optional<Session> Cipher::open(SuperblockRaw& raw) const {
  require_own_process();
  const std::shared_lock lock(table_mutex_);
  for (auto key = keys_.rbegin(); key != keys_.rend(); ++key) {
    SuperblockRaw plain = raw;
    const Session session{raw.generation, key->epoch, raw.salt};
    if (!derive("varve superblock", session, raw.generation, 0)
             ->open(raw.nonce, clear_part(crypt_uuid_, raw).bytes(), secret_parts(plain), raw.tag))
      continue;
    raw = plain;
    return session;
  }
  return std::nullopt;
}

// ---- the journal ---------------------------------------------------------------------------------------------

std::shared_ptr<const GcmKey> Cipher::journal_key(uint64_t generation, const Session& session) const {
  const std::shared_lock lock(table_mutex_);
  return derive("varve journal", session, generation, 0);
}

namespace {

struct RecordParts {
  explicit RecordParts(const Uuid& crypt_uuid, MutableBytes record)
      : head(load<JournalRecordRaw>(record)),
        nonce(nonce_from(head.sequence, head.generation)),
        clear(std::as_bytes(std::span(crypt_uuid.bytes))) {
    const MutableBytes changes = record.subspan(kChanges, kChain - kChanges);
    const MutableBytes rest = record.subspan(sizeof(JournalRecordRaw));
    pieces = {GcmPiece{changes, changes}, GcmPiece{rest, rest}};
    clear.add(record.first(kChanges)).add(record.subspan(kChain, offsetof(JournalRecordRaw, tag) - kChain));
  }
  JournalRecordRaw head;
  GcmNonce nonce;
  Binding clear;
  std::array<GcmPiece, 2> pieces;
};

}  // namespace

void Cipher::seal_record(const GcmKey& key, MutableBytes record) const {
  require_own_process();
  const RecordParts parts(crypt_uuid_, record);
  const TagBytes tag = key.seal(parts.nonce, parts.clear.bytes(), parts.pieces);
  std::memcpy(record.data() + offsetof(JournalRecordRaw, tag), tag.data(), tag.size());
}

bool Cipher::open_record(const GcmKey& key, MutableBytes record) const {
  require_own_process();
  const RecordParts parts(crypt_uuid_, record);
  return key.open(parts.nonce, parts.clear.bytes(), parts.pieces, parts.head.tag);
}

}  // namespace varve::native
