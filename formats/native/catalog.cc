#include "native/catalog.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "base/checked_math.h"
#include "base/text.h"
#include "base/zero.h"
#include "native/rotation_record.h"
#include "native/tree.h"
#include "varve/error.h"

namespace varve::native {
namespace {

constexpr uint64_t kAlignment = 8;

[[noreturn]] void bad(const std::string& what) { throw Error(Errc::corrupt, "the catalog " + what); }

std::string text_of(ConstBytes bytes, size_t offset, size_t length) {
  if (!range_fits(offset, length, bytes.size())) bad("holds a text that goes beyond its record");
  std::string text(reinterpret_cast<const char*>(bytes.data()) + offset, length);  // NOLINT: bytes as text
  if (!valid_utf8(text)) bad("holds a text that is not UTF-8");
  return text;
}

Snapshot parse_snapshot(const OtherRecord& record) {
  const auto raw = load<SnapshotRaw>(record.payload);
  Snapshot s;
  s.uuid.bytes = raw.uuid;
  s.id = raw.id;
  s.parent = raw.parent;
  s.generation = raw.generation;
  s.time = raw.time;
  s.hidden = (raw.flags & kHidden) != 0;
  s.held = (raw.flags & kHeld) != 0;
  if ((raw.flags & ~(kHidden | kHeld)) != 0) bad("holds a snapshot with reserved bits set");
  if (raw.name_length > kMaxName || sizeof(raw) + raw.name_length != record.payload.size()) bad("holds a snapshot of the wrong length");
  s.name = text_of(record.payload, sizeof(raw), raw.name_length);
  s.object = record.objects.front();
  if (s.id == 0 || s.generation == 0) bad("holds a snapshot without a number");
  if (s.hidden != s.name.empty()) bad("holds a snapshot whose name does not fit its being hidden");
  return s;
}

ParentReference parse_parent(const OtherRecord& record) {
  const auto raw = load<ParentRaw>(record.payload);
  ParentReference p;
  p.id = raw.id;
  uint64_t at = sizeof(raw);
  const auto next = [&](uint64_t length) {
    std::string text = text_of(record.payload, at, length);
    at += length;
    return text;
  };
  p.format = next(raw.format_length);
  p.path = next(raw.path_length);
  p.identity = next(raw.identity_length);
  if (p.id == 0 || at != record.payload.size()) bad("holds a parent reference of the wrong length");
  return p;
}

/// What each type that is known has.
void check_type(const OtherRecord& record) {
  uint16_t flags = kMustUnderstandToRead | kMustUnderstandToWrite;
  size_t objects = 1;
  switch (record.type) {
    case kSnapshotRecord: break;
    case kParentRecord: objects = 0; break;
    case kAttachmentRecord: flags = 0; break;
    case kRotationRecord:
      flags = kMustUnderstandToWrite;
      objects = record.objects.size();
      break;
    default: return;
  }
  if (record.flags != flags) bad("holds a record with flags that its type does not have");
  if (record.objects.size() != objects) bad("holds a record with more or fewer objects than its type has");
}

OtherRecord parse_record(ConstBytes bytes, uint64_t& at, const PointerRules& rules, uint64_t generation) {
  const auto raw = load<RecordRaw>(bytes, at);
  at += sizeof(raw);
  OtherRecord record;
  record.type = raw.type;
  record.flags = raw.flags;
  const uint64_t objects = uint64_t{raw.objects} * sizeof(ObjectRaw);
  if (raw.reserved != 0 || (raw.flags & ~(kMustUnderstandToRead | kMustUnderstandToWrite)) != 0)
    bad("holds a record with reserved bits set");
  if (!range_fits(at, objects + raw.payload, bytes.size())) bad("holds a record that goes beyond it");
  uint64_t newest = generation;
  // Nothing in a snapshot was born after it.
  if (record.type == kSnapshotRecord && raw.payload >= sizeof(SnapshotRaw))
    newest = std::min<uint64_t>(newest, load<SnapshotRaw>(bytes, at + objects).generation);
  for (uint64_t i = 0; i < raw.objects; ++i)
    record.objects.push_back(parse_object(load<ObjectRaw>(bytes, at + i * sizeof(ObjectRaw)), rules, newest));
  at += objects;
  record.payload.assign(bytes.begin() + static_cast<ptrdiff_t>(at), bytes.begin() + static_cast<ptrdiff_t>(at + raw.payload));
  at += raw.payload;
  const uint64_t padding = align_up(at, kAlignment) - at;
  if (!range_fits(at, padding, bytes.size()) || !is_zero(bytes.subspan(at, padding))) bad("holds something between its records");
  at += padding;
  check_type(record);
  return record;
}

/// Parents first; ids and names once; generations descending towards the root.
void arrange(Catalog& catalog, uint64_t generation, uint64_t head_parent) {
  std::map<uint64_t, uint64_t> known = {{0, 0}};  // id -> generation
  std::set<std::string> names;
  std::vector<Snapshot> sorted;
  std::vector<Snapshot> left = std::move(catalog.snapshots);
  std::stable_sort(left.begin(), left.end(), [](const Snapshot& a, const Snapshot& b) { return a.generation < b.generation; });
  for (Snapshot& s : left) {
    // A parent is older than its children, so it has been seen.
    if (!known.contains(s.parent)) bad("holds a snapshot whose parent is not there, or not older");
    if (known.at(s.parent) >= s.generation) bad("holds a snapshot that is as old as its parent");
    if (!known.emplace(s.id, s.generation).second) bad("holds two snapshots of one id");
    if (!s.hidden && !names.insert(s.name).second) bad("holds two snapshots of one name");
    if (s.generation > generation) bad("holds a snapshot that is newer than the image");
    sorted.push_back(std::move(s));
  }
  catalog.snapshots = std::move(sorted);
  if (!known.contains(head_parent)) bad("lacks the snapshot that the head is based on");
}

void check_references(const Catalog& catalog) {
  std::set<uint32_t> ids = {0};
  for (const ParentReference& p : catalog.parents)
    if (!ids.insert(p.id).second) bad("holds two parent references of one id");
  for (const Snapshot& s : catalog.snapshots)
    if (!ids.contains(s.object.parent)) bad("holds a snapshot over a parent that is not named");
}

void check_attachments(const Catalog& catalog) {
  std::set<uint64_t> ids;
  std::set<std::pair<uint64_t, std::string>> names;
  for (const OtherRecord& record : catalog.others) {
    if (record.type != kAttachmentRecord) continue;
    Attachment a = parse_attachment(record);
    if (!ids.insert(a.id).second) bad("holds two attachments of one id");
    if (!names.emplace(a.snapshot, std::move(a.name)).second) bad("holds two attachments of one name");
  }
}

void check_rotation(const Catalog& catalog, uint64_t head_parent) {
  bool any = false;
  for (const OtherRecord& record : catalog.others) {
    if (record.type != kRotationRecord) continue;
    if (std::exchange(any, true)) bad("holds two records of a key rotation");
    bases_of(catalog, record, head_parent);
  }
}

/// Not by insert(): gcc 12 then sees an overflow that is not there, at -O3.
void append(std::vector<std::byte>& out, ConstBytes bytes) {
  const size_t at = out.size();
  out.resize(at + bytes.size());
  std::copy(bytes.begin(), bytes.end(), out.begin() + static_cast<ptrdiff_t>(at));
}

void append(std::vector<std::byte>& out, const std::string& text) { append(out, std::as_bytes(std::span(text))); }

void append_record(std::vector<std::byte>& out, const OtherRecord& record, uint64_t unit) {
  RecordRaw raw{};
  raw.type = record.type;
  raw.flags = record.flags;
  raw.objects = static_cast<uint16_t>(record.objects.size());
  raw.payload = static_cast<uint32_t>(record.payload.size());
  append(out, bytes_of(raw));
  for (const Object& object : record.objects) append(out, bytes_of(encode(object, unit)));
  append(out, record.payload);
  out.resize(align_up(out.size(), kAlignment));
}

OtherRecord record_of(const Snapshot& s) {
  SnapshotRaw raw{};
  raw.uuid = s.uuid.bytes;
  raw.id = s.id;
  raw.parent = s.parent;
  raw.generation = s.generation;
  raw.time = s.time;
  raw.flags = (s.hidden ? kHidden : 0) | (s.held ? kHeld : 0);
  raw.name_length = static_cast<uint32_t>(s.name.size());
  OtherRecord record{kSnapshotRecord, kMustUnderstandToRead | kMustUnderstandToWrite, {s.object}, {}};
  append(record.payload, bytes_of(raw));
  append(record.payload, s.name);
  return record;
}

OtherRecord record_of(const ParentReference& p) {
  ParentRaw raw{};
  raw.id = p.id;
  raw.format_length = static_cast<uint32_t>(p.format.size());
  raw.path_length = static_cast<uint32_t>(p.path.size());
  raw.identity_length = static_cast<uint32_t>(p.identity.size());
  OtherRecord record{kParentRecord, kMustUnderstandToRead | kMustUnderstandToWrite, {}, {}};
  append(record.payload, bytes_of(raw));
  for (const std::string* text : {&p.format, &p.path, &p.identity}) append(record.payload, *text);
  return record;
}

}  // namespace

Attachment parse_attachment(const OtherRecord& record) {
  if (record.payload.size() < sizeof(AttachmentRaw)) bad("holds an attachment of the wrong length");
  const auto raw = load<AttachmentRaw>(record.payload);
  Attachment a{raw.id, raw.snapshot, raw.time, {}};
  if (a.id == 0 || raw.reserved != 0) bad("holds an attachment without a number, or with reserved bits set");
  if (record.objects.front().parent != 0) bad("holds an attachment over a parent");
  if (raw.name_length == 0 || raw.name_length > kMaxName || sizeof(raw) + raw.name_length != record.payload.size())
    bad("holds an attachment of the wrong length");
  a.name = text_of(record.payload, sizeof(raw), raw.name_length);
  return a;
}

OtherRecord record_of(const Attachment& a, const Object& object) {
  AttachmentRaw raw{};
  raw.id = a.id;
  raw.snapshot = a.snapshot;
  raw.time = a.time;
  raw.name_length = static_cast<uint32_t>(a.name.size());
  OtherRecord record{kAttachmentRecord, 0, {object}, {}};
  append(record.payload, bytes_of(raw));
  append(record.payload, a.name);
  return record;
}

bool Catalog::may_be_written() const {
  return std::none_of(others.begin(), others.end(),
                      [](const OtherRecord& r) { return r.type != kRotationRecord && (r.flags & kMustUnderstandToWrite) != 0; });
}

const Snapshot* Catalog::find(uint64_t id) const {
  const auto found = std::find_if(snapshots.begin(), snapshots.end(), [&](const Snapshot& s) { return s.id == id; });
  return found == snapshots.end() ? nullptr : &*found;
}

const Snapshot* Catalog::find(std::string_view name) const {
  const auto found = std::find_if(snapshots.begin(), snapshots.end(), [&](const Snapshot& s) { return !s.hidden && s.name == name; });
  return found == snapshots.end() ? nullptr : &*found;
}

const ParentReference* Catalog::parent(uint32_t id) const {
  const auto found = std::find_if(parents.begin(), parents.end(), [&](const ParentReference& p) { return p.id == id; });
  return found == parents.end() ? nullptr : &*found;
}

uint64_t Catalog::generation_of(uint64_t id) const {
  const Snapshot* s = id == 0 ? nullptr : find(id);
  return s == nullptr ? 0 : s->generation;
}

size_t Catalog::children_of(uint64_t id) const {
  return static_cast<size_t>(std::count_if(snapshots.begin(), snapshots.end(), [&](const Snapshot& s) { return s.parent == id; }));
}

Catalog parse_catalog(ConstBytes bytes, const PointerRules& rules, uint64_t generation, uint64_t head_parent) {
  Catalog catalog;
  if (bytes.empty()) {
    if (head_parent != 0) bad("lacks the snapshot that the head is based on");
    return catalog;
  }
  const auto head = load<CatalogHeadRaw>(bytes);
  if (head.magic != kCatalogMagic || head.reserved != 0) bad("does not begin as one");
  uint64_t at = sizeof(head);
  for (uint64_t i = 0; i < head.records; ++i) {
    OtherRecord record = parse_record(bytes, at, rules, generation);
    if (record.type == kSnapshotRecord)
      catalog.snapshots.push_back(parse_snapshot(record));
    else if (record.type == kParentRecord)
      catalog.parents.push_back(parse_parent(record));
    else if ((record.flags & kMustUnderstandToRead) != 0)
      throw Error(Errc::unsupported, "the catalog holds a record of type " + std::to_string(record.type) + ", which is not known");
    else
      catalog.others.push_back(std::move(record));
  }
  if (at != bytes.size()) bad("is longer than its records");
  arrange(catalog, generation, head_parent);
  check_references(catalog);
  check_attachments(catalog);
  check_rotation(catalog, head_parent);
  return catalog;
}

std::vector<std::byte> encode(const Catalog& catalog, uint64_t unit) {
  std::vector<std::byte> out;
  const uint64_t records = catalog.snapshots.size() + catalog.parents.size() + catalog.others.size();
  if (records == 0) return out;
  CatalogHeadRaw head{};
  head.magic = kCatalogMagic;
  head.records = static_cast<uint32_t>(records);
  append(out, bytes_of(head));
  for (const Snapshot& s : catalog.snapshots) append_record(out, record_of(s), unit);
  for (const ParentReference& p : catalog.parents) append_record(out, record_of(p), unit);
  for (const OtherRecord& record : catalog.others) append_record(out, record, unit);
  return out;
}

std::vector<std::byte> read_object(Extents& extents, const Object& object, uint64_t end) {
  const Tree tree(extents, object, [end] { return end; });
  const uint64_t cluster = extents.header().cluster_size;
  std::vector<std::byte> bytes(object.size);
  for (uint64_t i = 0; i < tree.clusters(); ++i) {
    const ClusterRun run = tree.run_at(i, 1);
    const MutableBytes part = MutableBytes(bytes).subspan(i * cluster, std::min(cluster, object.size - i * cluster));
    if (run.pointer.kind == Kind::data) extents.read(run.pointer, 0, part);
  }
  return bytes;
}

}  // namespace varve::native
