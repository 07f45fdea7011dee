// The catalog: records byte by byte, what is kept, and what is refused (section 7).
#include "native/catalog.h"

#include <functional>
#include <optional>

#include "native/builder.h"

namespace varve::test {
namespace {

using native::Catalog;

constexpr native::PointerRules kRules{4096, 4096, kMiB};
constexpr uint64_t kGeneration = 20;

Catalog parse(const Bytes& bytes, uint64_t head_parent = 0) { return native::parse_catalog(bytes, kRules, kGeneration, head_parent); }

PointerSpec zero(uint64_t birth) {
  PointerSpec spec;
  spec.kind = 1;
  spec.birth = birth;
  return spec;
}

SnapshotSpec snapshot(uint64_t id, uint64_t parent, uint64_t generation, const std::string& name) {
  SnapshotSpec spec;
  spec.id = id;
  spec.parent = parent;
  spec.generation = generation;
  spec.name = name;
  return spec;
}

TEST_CASE("section 7: a catalog lies as the specification says, byte by byte") {
  SnapshotSpec one = snapshot(3, 0, 7, "before the upgrade \xc3\xa4");
  one.time = 0x1122334455667788;
  one.flags = 2;
  one.object = object_bytes(4000, 0, pointer_bytes(zero(7)), 9);
  SnapshotSpec hidden = snapshot(5, 3, 8, "");
  hidden.flags = 1;
  const Bytes bytes = catalog_bytes({snapshot_record(one), snapshot_record(hidden), parent_record(9, "varve", "base.varve", "image x"),
                                     attachment_record({4, 3, 99, "memory", object_bytes(10, 0, kAbsent)})});
  CHECK(bytes.size() % 8 == 0);
  const Catalog catalog = parse(bytes, 5);
  REQUIRE(catalog.snapshots.size() == 2);
  const native::Snapshot& s = catalog.snapshots[0];
  CHECK(s.id == 3);
  CHECK(s.parent == 0);
  CHECK(s.generation == 7);
  CHECK(s.time == 0x1122334455667788);
  CHECK(s.held);
  CHECK_FALSE(s.hidden);
  CHECK(s.name == one.name);
  CHECK(s.uuid.bytes[0] == 0x5a);
  CHECK(s.object.size == 4000);
  CHECK(s.object.parent == 9);
  CHECK(s.object.newest_birth == 7);
  CHECK(catalog.snapshots[1].hidden);
  CHECK(catalog.find(one.name) == &s);
  CHECK(catalog.find("") == nullptr);
  CHECK(catalog.generation_of(5) == 8);
  CHECK(catalog.generation_of(0) == 0);
  CHECK(catalog.children_of(3) == 1);
  REQUIRE(catalog.parent(9) != nullptr);
  CHECK(catalog.parent(9)->format == "varve");
  CHECK(catalog.parent(9)->path == "base.varve");
  CHECK(catalog.parent(9)->identity == "image x");
  REQUIRE(catalog.others.size() == 1);
  const native::Attachment a = native::parse_attachment(catalog.others.front());
  CHECK(a.id == 4);
  CHECK(a.snapshot == 3);
  CHECK(a.time == 99);
  CHECK(a.name == "memory");
  CHECK(catalog.may_be_written());
  CHECK(native::encode(catalog, 4096) == bytes);
  CHECK(native::encode(Catalog(), 4096).empty());
}

TEST_CASE("section 7: records of types that are not known, by their flags") {
  const auto with = [](uint32_t type, uint16_t flags) {
    return parse(catalog_bytes({{type, flags, {object_bytes(10, 0, kAbsent), object_bytes(0, 0, kAbsent)}, Bytes(3, std::byte{7})}}));
  };
  for (const uint32_t type : {0U, 5U, 6U, 1000U, UINT32_MAX}) {
    CHECK(with(type, 0).may_be_written());
    CHECK_FALSE(with(type, 2).may_be_written());
    CHECK_ERRC(with(type, 1), Errc::unsupported);
    CHECK_ERRC(with(type, 3), Errc::unsupported);
    for (unsigned bit = 2; bit < 16; ++bit) CHECK_ERRC(with(type, static_cast<uint16_t>(1U << bit)), Errc::corrupt);
    const Bytes again = native::encode(with(type, 2), 4096);
    CHECK(again == catalog_bytes({{type, 2, {object_bytes(10, 0, kAbsent), object_bytes(0, 0, kAbsent)}, Bytes(3, std::byte{7})}}));
  }
}

TEST_CASE("section 7: a catalog that contradicts itself") {
  const Bytes good = catalog_bytes({snapshot_record({})});
  const auto judged = [&](const std::function<void(Bytes&)>& change, std::optional<Errc> expected = Errc::corrupt) {
    Bytes bytes = good;
    change(bytes);
    if (expected)
      CHECK_ERRC(parse(bytes), *expected);
    else
      CHECK_NOTHROW(parse(bytes));
  };
  judged([](Bytes&) {}, std::nullopt);
  judged([](Bytes& b) { b.clear(); }, std::nullopt);
  judged([](Bytes& b) { b = catalog_bytes({}); }, std::nullopt);
  judged([](Bytes& b) { b[0] = std::byte{'v'}; });
  for (unsigned i = 8; i < 16; ++i) judged([=](Bytes& b) { b[i] = std::byte{1}; });   // reserved
  for (unsigned i = 28; i < 32; ++i) judged([=](Bytes& b) { b[i] = std::byte{1}; });  // reserved, of a record
  for (const size_t size : {1, 15, 16, 17, 31, 33, 96, 152, 155}) judged([=](Bytes& b) { b.resize(size); });
  judged([](Bytes& b) { b.resize(b.size() - 1); });  // the last record's zeros are missing
  judged([](Bytes& b) { b.resize(b.size() + 8); });
  judged([](Bytes& b) { b.back() = std::byte{1}; });  // no zeros behind a payload
  judged([](Bytes& b) { put(b, 4, 0, 4); });
  judged([](Bytes& b) { put(b, 4, 2, 4); });
  judged([](Bytes& b) { put(b, 4, UINT32_MAX, 4); });
  judged([](Bytes& b) { put(b, 22, 0, 2); });  // no object
  judged([](Bytes& b) { put(b, 22, 2, 2); });
  judged([](Bytes& b) { put(b, 22, 0xffff, 2); });
  judged([](Bytes& b) { put(b, 24, 58, 4); });  // payload length: one byte less
  judged([](Bytes& b) { put(b, 24, 55, 4); });
  judged([](Bytes& b) { put(b, 24, 0, 4); });
  judged([](Bytes& b) { put(b, 24, UINT32_MAX, 4); });
  judged([](Bytes& b) { put(b, 96 + 52, 4, 4); });  // length of the name
  judged([](Bytes& b) { put(b, 96 + 52, UINT32_MAX, 4); });
  judged([](Bytes& b) { b[32 + 13] = std::byte{1}; });  // reserved, of an object
  for (unsigned bit = 2; bit < 32; ++bit) judged([=](Bytes& b) { put(b, 96 + 48, uint64_t{1} << bit, 4); });
  for (const unsigned flags : {0, 1, 2}) judged([=](Bytes& b) { put(b, 20, flags, 2); });  // those of a snapshot are 3
}

TEST_CASE("section 7: what is known of a type, its flags and objects, is held against it") {
  const auto judged = [](const CatalogRecordSpec& record, bool good) {
    if (good)
      CHECK_NOTHROW(parse(catalog_bytes({record})));
    else
      CHECK_ERRC(parse(catalog_bytes({record})), Errc::corrupt);
  };
  const Bytes object = object_bytes(10, 0, kAbsent);
  Bytes attachment(32 + 3, std::byte{'n'});
  put(attachment, 0, 1, 8);
  put(attachment, 8, 0, 8);
  put(attachment, 24, 3, 4);
  put(attachment, 28, 0, 4);
  judged({3, 0, {object}, attachment}, true);
  judged({3, 1, {object}, attachment}, false);
  judged({3, 2, {object}, attachment}, false);
  judged({3, 0, {}, attachment}, false);
  judged({3, 0, {object, object}, attachment}, false);
  CatalogRecordSpec parent = parent_record(1, "raw", "a", "");
  judged(parent, true);
  for (const unsigned flags : {0, 1, 2}) {
    parent.flags = static_cast<uint16_t>(flags);
    judged(parent, false);
  }
  parent.flags = 3;
  parent.objects = {object};
  judged(parent, false);
}

TEST_CASE("section 7: names, ids and parents of snapshots") {
  const auto judged = [](std::vector<SnapshotSpec> snapshots, bool good, uint64_t head_parent = 0) {
    std::vector<CatalogRecordSpec> records;
    for (const SnapshotSpec& s : snapshots) records.push_back(snapshot_record(s));
    if (good)
      CHECK_NOTHROW(parse(catalog_bytes(records), head_parent));
    else
      CHECK_ERRC(parse(catalog_bytes(records), head_parent), Errc::corrupt);
  };
  judged({snapshot(1, 0, 1, "a"), snapshot(2, 1, 2, "b"), snapshot(3, 1, 20, "c")}, true, 3);
  judged({snapshot(2, 1, 2, "b"), snapshot(1, 0, 1, "a")}, true, 1);  // in any order
  judged({snapshot(1, 0, 1, "a"), snapshot(1, 0, 2, "b")}, false);
  judged({snapshot(1, 0, 1, "a"), snapshot(2, 0, 2, "a")}, false);
  judged({snapshot(0, 0, 1, "a")}, false);
  judged({snapshot(1, 0, 0, "a")}, false);
  judged({snapshot(1, 0, 21, "a")}, false);  // newer than the image
  judged({snapshot(1, 2, 2, "a")}, false);   // no such parent
  judged({snapshot(1, 1, 2, "a")}, false);   // its own
  judged({snapshot(1, 2, 2, "a"), snapshot(2, 1, 3, "b")}, false);
  judged({snapshot(1, 0, 2, "a"), snapshot(2, 1, 2, "b")}, false);  // as old as its parent
  judged({snapshot(1, 0, 3, "a"), snapshot(2, 1, 2, "b")}, false);
  judged({snapshot(1, 0, 1, "a")}, false, 2);  // the head's is none
  judged({}, false, 1);
  judged({snapshot(1, 0, 1, "")}, false);
  SnapshotSpec hidden = snapshot(1, 0, 1, "");
  hidden.flags = 1;
  SnapshotSpec other = snapshot(2, 0, 2, "");
  other.flags = 1;
  judged({hidden, other}, true);
  hidden.name = "a";
  judged({hidden}, false);
  judged({snapshot(1, 0, 1, std::string(1024, 'x'))}, true);
  judged({snapshot(1, 0, 1, std::string(1025, 'x'))}, false);
  judged({snapshot(1, 0, 1, "\xff")}, false);
  SnapshotSpec young = snapshot(1, 0, 5, "a");
  young.object = object_bytes(10, 0, pointer_bytes(zero(5)));
  judged({young}, true);
  young.object = object_bytes(10, 0, pointer_bytes(zero(6)));  // born after the snapshot
  judged({young}, false);
}

TEST_CASE("section 7: attachments") {
  const auto judged = [](const std::vector<CatalogRecordSpec>& records, bool good) {
    if (good)
      CHECK_NOTHROW(parse(catalog_bytes(records)));
    else
      CHECK_ERRC(parse(catalog_bytes(records)), Errc::corrupt);
  };
  const auto one = [](uint64_t id, uint64_t snapshot, const std::string& name) { return attachment_record({id, snapshot, 0, name}); };
  judged({one(1, 0, "a"), one(2, 0, "b"), one(3, 7, "a")}, true);  // a snapshot that is gone leaves them behind
  judged({one(0, 0, "a")}, false);
  judged({one(1, 0, "a"), one(1, 0, "b")}, false);
  judged({one(1, 0, "a"), one(2, 0, "a")}, false);
  judged({one(1, 7, "a"), one(2, 7, "a")}, false);
  judged({one(1, 0, "")}, false);
  judged({one(1, 0, "\xff")}, false);
  judged({one(1, 0, std::string(1024, 'x'))}, true);
  judged({one(1, 0, std::string(1025, 'x'))}, false);
  judged({attachment_record({1, 0, 0, "a", object_bytes(10, 0, kAbsent, 1)}), parent_record(1, "raw", "a", "")}, false);
  for (const size_t size : {0, 1, 31, 32, 35, 37}) {
    CatalogRecordSpec record = one(1, 0, "note");
    record.payload.resize(size);
    judged({record}, false);
  }
  for (const unsigned at : {24, 28}) {
    for (const uint64_t value : {uint64_t{5}, uint64_t{UINT32_MAX}}) {
      CatalogRecordSpec record = one(1, 0, "note");
      put(record.payload, at, value, 4);
      judged({record}, false);
    }
  }
}

TEST_CASE("section 7: parent references") {
  CHECK(parse(catalog_bytes({parent_record(1, "raw", "a/b", ""), parent_record(UINT32_MAX, "", "", "")})).parents.size() == 2);
  CHECK_ERRC(parse(catalog_bytes({parent_record(0, "raw", "a", "")})), Errc::corrupt);
  CHECK_ERRC(parse(catalog_bytes({parent_record(1, "raw", "a", ""), parent_record(1, "raw", "b", "")})), Errc::corrupt);
  CHECK_ERRC(parse(catalog_bytes({parent_record(1, "raw", "\xc0\x80", "")})), Errc::corrupt);
  SnapshotSpec orphan;
  orphan.object = object_bytes(10, 0, kAbsent, 4);
  CHECK_ERRC(parse(catalog_bytes({snapshot_record(orphan)})), Errc::corrupt);
  CHECK_NOTHROW(parse(catalog_bytes({snapshot_record(orphan), parent_record(4, "raw", "a", "")})));
  for (const unsigned at : {4, 8, 12}) {
    CatalogRecordSpec record = parent_record(1, "raw", "abc", "x");
    put(record.payload, at, 100, 4);
    CHECK_ERRC(parse(catalog_bytes({record})), Errc::corrupt);
    put(record.payload, at, UINT32_MAX, 4);
    CHECK_ERRC(parse(catalog_bytes({record})), Errc::corrupt);
    put(record.payload, at, 0, 4);
    CHECK_ERRC(parse(catalog_bytes({record})), Errc::corrupt);
  }
}

}  // namespace
}  // namespace varve::test
