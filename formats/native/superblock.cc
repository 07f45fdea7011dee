#include "native/superblock.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "base/zero.h"
#include "native/tag.h"
#include "varve/error.h"

namespace varve::native {
namespace {

TagBytes plain_tag(const SuperblockRaw& raw) { return tag_of(ConstBytes(bytes_of(raw)).first(offsetof(SuperblockRaw, tag))); }

template <size_t count>
bool all_zero(const std::array<uint8_t, count>& bytes) {
  return is_zero(std::as_bytes(std::span(bytes)));
}

/// What stands in a slot.
struct Slot {
  std::optional<SuperblockRaw> raw;  ///< decrypted
  Session session = {};
  std::string fault;  ///< why it does not count; empty also if nothing stands there
};

Slot read_slot(Storage& file, size_t parity, const Header& header, const Cipher* cipher) {
  const uint64_t offset = superblock_offset(parity);
  const auto none = [](const char* why) { return Slot{std::nullopt, {}, why}; };
  if (!range_fits(offset, kBlock, file.size())) return none("the file ends before it");
  std::vector<std::byte> bytes(kBlock);
  file.read_at(offset, bytes);  // if that fails it may be whole, and newer than the other
  if (is_zero(bytes)) return {};
  auto raw = load<SuperblockRaw>(bytes);
  if (raw.magic != kSuperblockMagic) return none("it has no magic");
  std::optional<Session> session = Session();
  if (cipher == nullptr ? plain_tag(raw) != raw.tag : !(session = cipher->open(raw))) return none("its tag is wrong");
  if (raw.image_uuid != header.image_uuid.bytes) return none("it is another image's");
  if (raw.generation == 0 || raw.generation > kMaxGeneration || raw.generation % 2 != parity)
    return none("its generation does not belong there");
  return {raw, *session, ""};
}

/// `newest`: there was none behind it. After a clean close the other one may name a larger file: then all that it needs is in this one.
void check_places(Superblock& s, uint64_t file_size, bool newest) {
  const auto bad = [](const char* what) { throw Error(Errc::corrupt, std::string("the superblock ") + what); };
  if (s.end < kFirstExtent || s.end % kBlock != 0) bad("ends the used space where it can't end");
  if (!newest) s.end = std::min(s.end, std::max(kFirstExtent, align_down(file_size, kBlock)));
  if (s.end > file_size) {
    throw Error(Errc::corrupt,
                "the file has " + std::to_string(file_size) + " bytes and should have " + std::to_string(s.end) + ": it was cut short")
        .hint("restore it from a copy");
  }
  if (s.journal_length == 0 && s.journal_offset != 0) bad("has a journal without a length");
  if (s.journal_length == 0) return;
  const bool placed = s.journal_length <= kMaxJournal && s.journal_offset % kBlock == 0 && s.journal_length % (2 * kBlock) == 0 &&
                      s.journal_offset >= kFirstExtent && range_fits(s.journal_offset, s.journal_length, s.end);
  if (!placed) bad("has a journal where none can be");
}

/// One extent, of as many bytes as whole blocks have, that is no cluster.
Pointer parse_sessions(const PointerRaw& raw, const Superblock& s, const Header& header) {
  const PointerRules rules{kMaxSessionTable, header.unit, s.end, kBlock};
  const Pointer p = parse_pointer(raw, rules, 0, s.generation);
  if (p.kind != Kind::data || p.codec != CodecId::none || p.skip != 0)
    throw Error(Errc::corrupt, "the superblock has no table of sessions");
  return p;
}

Superblock parse(const Slot& slot, const Header& header, uint64_t file_size, bool newest) {
  const SuperblockRaw& raw = *slot.raw;
  const bool plain_is_zero = all_zero(raw.nonce) && all_zero(raw.salt) && is_zero(bytes_of(raw.sessions));
  if ((raw.flags & ~kClean) != 0 || !all_zero(raw.reserved) || (!header.encrypted && !plain_is_zero))
    throw Error(Errc::corrupt, "the superblock has reserved bytes set");
  Superblock s;
  s.session = slot.session;
  s.tag = raw.tag;
  s.generation = raw.generation;
  s.clean = (raw.flags & kClean) != 0;
  s.journal_offset = raw.journal_offset;
  s.journal_length = raw.journal_length;
  s.chain = raw.chain;
  s.end = raw.end;
  s.head_parent = raw.head_parent;
  s.last_snapshot_id = raw.last_snapshot_id;
  check_places(s, file_size, newest);
  const PointerRules rules = s.rules(header);
  if (header.encrypted) s.sessions = parse_sessions(raw.sessions, s, header);
  s.head = parse_object(raw.head, rules, s.generation);
  s.catalog = parse_object(raw.catalog, rules, s.generation);
  if (s.catalog.size > kMaxCatalog)
    throw Error(Errc::limit, "a catalog of " + std::to_string(s.catalog.size) + " bytes, 16 MiB are the most");
  if (s.catalog.parent != 0) throw Error(Errc::corrupt, "the catalog has a parent");
  return s;
}

}  // namespace

Superblocks read_superblocks(Storage& file, const Header& header, const Cipher* cipher) {
  std::array<Slot, 2> slots = {read_slot(file, 0, header, cipher), read_slot(file, 1, header, cipher)};
  if (!slots[0].raw && !slots[1].raw) {
    throw Error(Errc::corrupt, "no superblock is whole: of the even one, " + (slots[0].fault.empty() ? "it is not there" : slots[0].fault) +
                                   "; of the odd one, " + (slots[1].fault.empty() ? "it is not there" : slots[1].fault))
        .at(superblock_offset(0));
  }
  const size_t newer = !slots[0].raw || (slots[1].raw && slots[1].raw->generation > slots[0].raw->generation) ? 1 : 0;
  Superblocks result;
  result.fault = slots[1 - newer].fault;
  // Whoever makes an image writes both; what reads as zeros then has been lost.
  if (!slots[1 - newer].raw && result.fault.empty() && slots[newer].raw->generation > 1) result.fault = "there are zeros in its place";
  result.current = parse(slots[newer], header, file.size(), result.fault.empty());
  if (!slots[1 - newer].raw) return result;
  try {
    result.older = parse(slots[1 - newer], header, file.size(), false);
  } catch (const Error& error) {
    if (error.code() == Errc::io) throw;
    result.fault = error.message();
  }
  return result;
}

SuperblockRaw encode(const Superblock& s, const Header& header) {
  SuperblockRaw raw{};
  raw.magic = kSuperblockMagic;
  raw.image_uuid = header.image_uuid.bytes;
  raw.generation = s.generation;
  raw.flags = s.clean ? kClean : 0;
  raw.head = encode(s.head, header.unit);
  raw.catalog = encode(s.catalog, header.unit);
  raw.journal_offset = s.journal_offset;
  raw.journal_length = s.journal_length;
  raw.chain = s.chain;
  raw.end = s.end;
  raw.head_parent = s.head_parent;
  raw.last_snapshot_id = s.last_snapshot_id;
  raw.sessions = encode(s.sessions, header.unit);
  if (!header.encrypted) raw.tag = plain_tag(raw);
  return raw;
}

}  // namespace varve::native
