// Header, superblock, pointer and object: byte by byte, and what is refused (sections 3 to 6).
#include <functional>

#include "native/builder.h"
#include "native/superblock.h"
#include "native/tag.h"

namespace varve::test {
namespace {

using native::Header;
using native::Kind;
using native::Pointer;
using native::PointerRules;

template <typename Raw>
Bytes bytes_from(const Raw& raw) {
  const auto bytes = bytes_of(raw);
  return {bytes.begin(), bytes.end()};
}

native::TagBytes counting_tag() {
  native::TagBytes tag;
  for (unsigned i = 0; i < 16; ++i) tag[i] = static_cast<uint8_t>(i);
  return tag;
}

// ---- tags and pointers -------------------------------------------------------------------------------

TEST_CASE("section 15: tags") {
  const native::TagBytes nothing = native::tag_of({});
  CHECK(to_hex(std::as_bytes(std::span(nothing))) == "99aa06d3014798d86001c324468d497f");
  const native::TagBytes abc = native::tag_of(hex("61 62 63"));
  CHECK(to_hex(std::as_bytes(std::span(abc))) == "06b05ab6733a618578af5f94892f3950");
  Bytes much(100000, std::byte{7});
  for (size_t i = 0; i < much.size(); ++i) much[i] = static_cast<std::byte>(i * i >> 3);
  for (const size_t size : {1, 16, 17, 128, 129, 240, 241, 1024, 4080, 100000}) {
    const ConstBytes all = ConstBytes(much).first(size);
    CHECK(native::tag_of(all) == tag_bytes(all));
    CHECK(native::tag_of(all.first(size / 3), all.subspan(size / 3)) == tag_bytes(all));
  }
}

TEST_CASE("section 15: pointers") {
  Pointer p;
  p.kind = Kind::data;
  p.codec = native::CodecId::zstd;
  p.birth = 0x00badc0ffee0;
  p.offset = 0x123456789abc * 512;
  p.length = 0x8001 * 512;
  p.tag = counting_tag();
  CHECK(to_hex(bytes_from(native::encode(p, 512))) == "bc9a785634120180e0fe0fdcba000201000102030405060708090a0b0c0d0e0f");
  const PointerRules rules{0x8002 * 512, 512, uint64_t{1} << 62};  // of no cluster that there is, so that the length fits
  CHECK(native::parse_pointer(native::encode(p, 512), rules, 0, p.birth) == p);
  Pointer part = p;
  part.codec = native::CodecId::none;
  part.birth = 3;
  part.offset = 0x20000 * 512;
  part.length = 4096;
  part.skip = 5;
  CHECK(to_hex(bytes_from(native::encode(part, 512))) == "00000200000008000300000000000228000102030405060708090a0b0c0d0e0f");
  CHECK(native::parse_pointer(native::encode(part, 512), {65536, 512, uint64_t{1} << 62}, 0, 3) == part);
  CHECK(to_hex(bytes_from(native::encode(native::zero_pointer(7, 2), 4096))) ==
        "0000000000000000"
        "0700000000001100" +
            std::string(32, '0'));
  CHECK(native::encode(Pointer(), 512).tag == native::TagBytes{});
  CHECK(bytes_from(native::encode(Pointer(), 512)) == kAbsent);
}

/// At `level`, of a disk with clusters of 64 KiB in units of 512 bytes, 1 MiB of used space, in generation 9.
void parse(const Bytes& pointer, unsigned level = 0) {
  native::parse_pointer(load<native::PointerRaw>(pointer), {65536, 512, kMiB}, level, 9);
}

PointerSpec cluster_at(uint64_t address, uint64_t length, unsigned codec = 0) {
  PointerSpec spec;
  spec.address = address;
  spec.length = length;
  spec.codec = codec;
  spec.unit = 512;
  return spec;
}

PointerSpec node_at(uint64_t address, unsigned level) {
  PointerSpec spec = cluster_at(address, kNode);
  spec.kind = 3;
  spec.level = level;
  return spec;
}

TEST_CASE("section 5: what a pointer may be, and what not") {
  const auto bad = [](PointerSpec spec, unsigned level = 0) { CHECK_ERRC(parse(pointer_bytes(spec), level), Errc::corrupt); };
  const auto good = [](PointerSpec spec, unsigned level = 0) { CHECK_NOTHROW(parse(pointer_bytes(spec), level)); };
  good(cluster_at(kExtents, 65536));
  good(cluster_at(kMiB - 65536, 65536));
  bad(cluster_at(kExtents - 512, 65536));
  bad(cluster_at(kMiB - 65536 + 512, 65536));
  bad(cluster_at(0, 65536));
  PointerSpec far = cluster_at(((uint64_t{1} << 48) - 1) * 512, 65536);
  bad(far);
  for (const unsigned codec : {1, 2}) {
    good(cluster_at(kExtents + 512, 512, codec));
    good(cluster_at(kExtents, 65024, codec));
    bad(cluster_at(kExtents, 65536, codec));
    bad(cluster_at(kExtents, 0, codec));
  }
  bad(cluster_at(kExtents, 65024));
  bad(cluster_at(kExtents, 66048));
  bad(cluster_at(kExtents, 65536 + 4096));
  bad(cluster_at(kExtents, 0));
  const auto skipping = [](PointerSpec pointer, unsigned skip) {
    pointer.skip = skip;
    return pointer;
  };
  good(cluster_at(kExtents, 4096));
  good(skipping(cluster_at(kExtents, 4096), 15));
  good(skipping(cluster_at(kExtents, 61440), 1));
  bad(skipping(cluster_at(kExtents, 4096), 16));
  bad(skipping(cluster_at(kExtents, 4096), 31));
  bad(skipping(cluster_at(kExtents, 65536), 1));
  bad(skipping(cluster_at(kExtents, 512, 1), 1));
  bad(skipping(node_at(kExtents, 1), 1), 1);
  for (const unsigned codec : {3, 15}) CHECK_ERRC(parse(pointer_bytes(cluster_at(kExtents, 512, codec))), Errc::unsupported);
  good(node_at(kExtents, 1), 1);
  good(node_at(kMiB - kNode, 6), 6);
  bad(node_at(kExtents, 1), 2);
  bad(node_at(kExtents, 0));
  bad(node_at(kExtents + 512, 1), 1);
  bad(node_at(kMiB, 1), 1);
  PointerSpec spec = node_at(kExtents, 1);
  spec.length = kNode / 2;
  bad(spec, 1);
  spec = node_at(kExtents, 1);
  spec.codec = 1;
  bad(spec, 1);
  spec = cluster_at(kExtents, 65536);
  spec.level = 1;
  bad(spec, 1);
}

TEST_CASE("section 5: births, kinds and reserved bits") {
  for (const uint64_t birth : {uint64_t{0}, uint64_t{10}, (uint64_t{1} << 48) - 1}) {
    for (const unsigned kind : {1, 2}) {
      PointerSpec spec = kind == 1 ? PointerSpec() : cluster_at(kExtents, 65536);
      spec.kind = kind;
      spec.birth = birth;
      CHECK_ERRC(parse(pointer_bytes(spec)), Errc::corrupt);
    }
  }
  for (const unsigned kind : {0, 4, 5, 6, 7}) {
    PointerSpec spec = cluster_at(kExtents, 65536);
    spec.kind = kind;
    CHECK_ERRC(parse(pointer_bytes(spec)), Errc::corrupt);
  }
  for (unsigned bit = 59; bit < 64; ++bit) {
    Bytes pointer = pointer_bytes(cluster_at(kExtents, 65536));
    put(pointer, 8, get(pointer, 8, 8) | uint64_t{1} << bit, 8);
    CHECK_ERRC(parse(pointer), Errc::corrupt);  // a whole cluster skips nothing
  }
  CHECK_NOTHROW(parse(kAbsent, 5));
  for (unsigned i = 0; i < 32; ++i) {  // an absent one, or a zero, has nothing else in it
    Bytes absent = kAbsent;
    absent[i] = std::byte{1};
    CHECK_ERRC(parse(absent), Errc::corrupt);
    PointerSpec spec;
    spec.kind = 1;
    Bytes zero = pointer_bytes(spec);
    CHECK_NOTHROW(parse(zero));
    if (i >= 8 && i < 16) continue;
    zero[i] = std::byte{1};
    CHECK_ERRC(parse(zero), Errc::corrupt);
  }
}

// ---- objects -----------------------------------------------------------------------------------------

TEST_CASE("section 6: the height is the least that holds the size") {
  struct Row {
    uint64_t size;
    unsigned height;
  };
  for (const Row& row : std::vector<Row>{{0, 0}, {1, 0}, {4096, 0}, {4097, 1}, {2 * kMiB, 1}, {2 * kMiB + 1, 2}, {uint64_t{1} << 62, 6}}) {
    CHECK(native::height_of(row.size, 4096) == row.height);
    for (unsigned height = 0; height < 8; ++height) {
      const Bytes bytes = object_bytes(row.size, height, kAbsent, 77);
      const auto parsed = [&] { return native::parse_object(load<native::ObjectRaw>(bytes), {4096, 4096, kMiB}, 9); };
      if (height == row.height) {
        CHECK(parsed().parent == 77);
        CHECK(bytes_from(native::encode(parsed(), 4096)) == bytes);
      } else {
        CHECK_ERRC(parsed(), Errc::corrupt);
      }
    }
  }
}

TEST_CASE("section 6: what an object may not be") {
  const auto parsed = [](const Bytes& bytes) { native::parse_object(load<native::ObjectRaw>(bytes), {65536, 512, kMiB}, 9); };
  CHECK_ERRC(parsed(object_bytes((uint64_t{1} << 62) + 1, 6, kAbsent)), Errc::corrupt);
  CHECK_ERRC(parsed(object_bytes(UINT64_MAX, 6, kAbsent)), Errc::corrupt);
  for (unsigned i = 13; i < 32; ++i) {
    Bytes bytes = object_bytes(512, 0, kAbsent);
    bytes[i] = std::byte{0x80};
    CHECK_ERRC(parsed(bytes), Errc::corrupt);
  }
  CHECK_NOTHROW(parsed(object_bytes(512, 0, pointer_bytes(cluster_at(kExtents, 65536)))));
  CHECK_ERRC(parsed(object_bytes(0, 0, pointer_bytes(cluster_at(kExtents, 65536)))), Errc::corrupt);
  CHECK_ERRC(parsed(object_bytes(512, 0, pointer_bytes(node_at(kExtents, 0)))), Errc::corrupt);
  CHECK_ERRC(parsed(object_bytes(65537, 1, pointer_bytes(cluster_at(kExtents, 65536)))), Errc::corrupt);
  CHECK_NOTHROW(parsed(object_bytes(65537, 1, pointer_bytes(node_at(kExtents, 1)))));
}

// ---- the header --------------------------------------------------------------------------------------

std::shared_ptr<MemoryStorage> headers(const Bytes& first, const Bytes& second) {
  auto file = std::make_shared<MemoryStorage>("headers");
  file->resize(kExtents);
  file->write_at(0, first);
  file->write_at(65536, second);
  return file;
}

void read_both(const HeaderSpec& spec) { native::read_headers(*headers(header_bytes(spec), header_bytes(spec))); }

TEST_CASE("section 3: a header lies as the specification says, byte by byte") {
  HeaderSpec spec;
  spec.sequence = 0x1122334455667788;
  spec.compatible = 0xabcdef;
  spec.cluster = 2 << 20;
  spec.unit = 512;
  spec.codec = 2;
  spec.level = -5;
  spec.journal = 1 << 30;
  const native::Headers read = native::read_headers(*headers(header_bytes(spec), header_bytes(spec)));
  const Header& header = read.header;
  CHECK(header.sequence == spec.sequence);
  CHECK(header.compatible == 0xabcdef);
  CHECK(header.may_be_written);
  CHECK(header.image_uuid.bytes[0] == 0x1d);
  CHECK(header.crypt_uuid.bytes[15] == 0x2e);
  CHECK(header.cluster_size == 2 << 20);
  CHECK(header.unit == 512);
  CHECK(header.codec == native::CodecId::zstd);
  CHECK(header.level == -5);
  CHECK(header.journal_bytes == 1 << 30);
  CHECK(read.faults[0].empty());
  CHECK(read.faults[1].empty());
  CHECK(bytes_from(native::encode(header)) == header_bytes(spec));
}

TEST_CASE("section 3: which of the copies counts") {
  HeaderSpec newer;
  newer.sequence = 2;
  HeaderSpec torn = newer;
  torn.torn = true;
  const auto sequence = [](const Bytes& first, const Bytes& second) {
    return native::read_headers(*headers(first, second)).header.sequence;
  };
  CHECK(sequence(header_bytes(), header_bytes(newer)) == 2);
  CHECK(sequence(header_bytes(newer), header_bytes()) == 2);
  CHECK(sequence(header_bytes(torn), header_bytes()) == 1);
  CHECK(sequence(header_bytes(), header_bytes(torn)) == 1);
  CHECK(sequence(Bytes(4096), header_bytes()) == 1);
  CHECK_ERRC(sequence(header_bytes(torn), header_bytes(torn)), Errc::corrupt);
  CHECK_ERRC(sequence(Bytes(4096), Bytes(4096)), Errc::corrupt);
  HeaderSpec other;
  other.compatible = 4;
  CHECK_ERRC(sequence(header_bytes(), header_bytes(other)), Errc::corrupt);
  CHECK_ERRC(native::read_headers(*std::make_shared<MemoryStorage>("empty")), Errc::corrupt);
}

TEST_CASE("section 3: what a header may not say") {
  const auto judged = [](const std::function<void(HeaderSpec&)>& change, std::optional<Errc> expected) {
    HeaderSpec spec;
    change(spec);
    if (expected)
      CHECK_ERRC(read_both(spec), *expected);
    else
      CHECK_NOTHROW(read_both(spec));
  };
  for (const uint32_t version : {0U, 2U, 256U}) judged([=](HeaderSpec& h) { h.version = version; }, Errc::unsupported);
  for (unsigned bit = 1; bit < 64; ++bit) judged([=](HeaderSpec& h) { h.incompatible = uint64_t{1} << bit; }, Errc::unsupported);
  judged([](HeaderSpec& h) { h.read_only = UINT64_MAX; }, std::nullopt);
  judged([](HeaderSpec& h) { h.sequence = 0; }, Errc::corrupt);
  for (const uint32_t size : {0U, 2048U, 4095U, 12288U, 4U << 20, 1U << 31})
    judged([=](HeaderSpec& h) { h.cluster = size; }, Errc::corrupt);
  for (const uint32_t unit : {0U, 256U, 1024U, 8192U}) judged([=](HeaderSpec& h) { h.unit = unit; }, Errc::corrupt);
  for (const uint32_t node : {0U, 8192U, 32768U}) judged([=](HeaderSpec& h) { h.node = node; }, Errc::corrupt);
  for (const uint64_t journal : {uint64_t{65536}, uint64_t{73728}, kMiB << 10})
    judged([=](HeaderSpec& h) { h.journal = journal; }, std::nullopt);
  for (const uint64_t journal : {uint64_t{1}, uint64_t{57344}, uint64_t{69632}, (kMiB << 10) + 8192, UINT64_MAX})
    judged([=](HeaderSpec& h) { h.journal = journal; }, Errc::corrupt);
  for (unsigned i = 12; i < 4080; i = i == 15 ? 104 : i + 1) {
    Bytes header = header_bytes();
    header[i] = std::byte{1};
    seal(header);
    CHECK_ERRC(native::read_headers(*headers(header, header)), Errc::corrupt);
  }
}

// ---- the superblock ----------------------------------------------------------------------------------

native::Superblocks read_superblocks(Storage& file) { return native::read_superblocks(file, native::read_headers(file).header); }

SuperblockSpec rich() {
  SuperblockSpec spec;
  spec.generation = 0x112233445566;
  spec.flags = 1;
  PointerSpec zero;
  zero.kind = 1;
  zero.birth = 5;
  spec.head = object_bytes(4000, 0, pointer_bytes(zero), 3);
  spec.catalog = object_bytes(16 * kMiB, 2, kAbsent);
  spec.end = kExtents + 20 * kBlock;
  spec.journal = kExtents + 4 * kBlock;
  spec.journal_length = 16 * kBlock;
  spec.head_parent = 8;
  spec.last_id = 9;
  return spec;
}

TEST_CASE("section 4: a superblock lies as the specification says, byte by byte") {
  const SuperblockSpec spec = rich();
  const auto file = file_of({}, spec);
  const native::Superblock s = read_superblocks(*file).current;
  CHECK(s.generation == spec.generation);
  CHECK(s.clean);
  CHECK(s.head.size == 4000);
  CHECK(s.head.parent == 3);
  CHECK(s.head.root == native::zero_pointer(5, 0));
  CHECK(s.catalog.size == 16 * kMiB);
  CHECK(s.journal_offset == spec.journal);
  CHECK(s.journal_length == spec.journal_length);
  CHECK(s.chain[3] == 0xc4);
  CHECK(s.end == spec.end);
  CHECK(s.head_parent == 8);
  CHECK(s.last_snapshot_id == 9);
  CHECK(bytes_from(native::encode(s, native::read_headers(*file).header)) == superblock_bytes(spec));
  CHECK(native::superblock_offset(6) == 4096);
  CHECK(native::superblock_offset(7) == 69632);
}

TEST_CASE("section 4: which slot counts, and what is said of the other") {
  SuperblockSpec one;
  SuperblockSpec two;
  two.generation = 2;
  const auto file = file_of({}, one);
  CHECK(read_superblocks(*file).current.generation == 1);
  CHECK(read_superblocks(*file).fault.empty());
  put_superblock(*file, two);
  CHECK(read_superblocks(*file).current.generation == 2);
  CHECK(read_superblocks(*file).older->generation == 1);
  SuperblockSpec torn = two;
  torn.torn = true;
  put_superblock(*file, torn);
  CHECK(read_superblocks(*file).current.generation == 1);
  CHECK_FALSE(read_superblocks(*file).fault.empty());
  SuperblockSpec foreign = two;
  foreign.uuid[0] ^= std::byte{1};
  put_superblock(*file, foreign);
  CHECK(read_superblocks(*file).current.generation == 1);
  CHECK_FALSE(read_superblocks(*file).fault.empty());
  file->write_at(4096, superblock_bytes([] {
                   SuperblockSpec s;
                   s.generation = 3;
                   return s;
                 }()));  // of the wrong parity
  CHECK(read_superblocks(*file).current.generation == 1);
  CHECK_FALSE(read_superblocks(*file).fault.empty());
  put_superblock(*file, torn);
  one.torn = true;
  put_superblock(*file, one);
  CHECK_ERRC(read_superblocks(*file), Errc::corrupt);
  const auto none = headers(header_bytes(), header_bytes());
  CHECK_ERRC(read_superblocks(*none), Errc::corrupt);
  SuperblockSpec never;
  never.generation = 0;
  CHECK_ERRC(read_superblocks(*file_of({}, never)), Errc::corrupt);
  never.generation = uint64_t{1} << 48;
  CHECK_ERRC(read_superblocks(*file_of({}, never)), Errc::corrupt);
}

TEST_CASE("section 4: what a superblock may not say") {
  const auto judged = [](const std::function<void(SuperblockSpec&)>& change, std::optional<Errc> expected) {
    SuperblockSpec spec = rich();
    spec.flags = 0;
    change(spec);
    SuperblockSpec sized = spec;
    sized.end = kExtents + 20 * kBlock;
    const auto file = file_of({}, sized);
    sized.generation -= 1;
    file->write_at(69632, superblock_bytes(sized));
    file->write_at(4096, superblock_bytes(spec));
    if (expected)
      CHECK_ERRC(read_superblocks(*file), *expected);
    else
      CHECK_NOTHROW(read_superblocks(*file));
  };
  judged([](SuperblockSpec&) {}, std::nullopt);
  for (const uint64_t end : {uint64_t{0}, kExtents - kBlock, kExtents + 20 * kBlock - 1, kExtents + 21 * kBlock, UINT64_MAX})
    judged([=](SuperblockSpec& s) { s.end = end; }, Errc::corrupt);
  for (unsigned bit = 1; bit < 32; ++bit) judged([=](SuperblockSpec& s) { s.flags = 1U << bit; }, Errc::corrupt);
  judged([](SuperblockSpec& s) { s.journal = s.journal_length = 0; }, std::nullopt);
  judged([](SuperblockSpec& s) { s.journal = 0; }, Errc::corrupt);
  judged([](SuperblockSpec& s) { s.journal_length = 0; }, Errc::corrupt);
  judged([](SuperblockSpec& s) { s.journal += 512; }, Errc::corrupt);
  judged([](SuperblockSpec& s) { s.journal_length -= kBlock; }, Errc::corrupt);
  judged([](SuperblockSpec& s) { s.journal += kBlock; }, Errc::corrupt);
  judged([](SuperblockSpec& s) { s.journal = kExtents - kBlock; }, Errc::corrupt);
  judged([](SuperblockSpec& s) { s.journal = UINT64_MAX - kBlock + 1; }, Errc::corrupt);
  judged([](SuperblockSpec& s) { s.catalog = object_bytes(16 * kMiB + 1, 2, kAbsent); }, Errc::limit);
  judged([](SuperblockSpec& s) { s.catalog = object_bytes(100, 0, kAbsent, 1); }, Errc::corrupt);
  for (const auto& [from, to] : std::vector<std::pair<unsigned, unsigned>>{{32, 44}, {48, 80}, {208, 240}, {296, 4080}}) {
    for (unsigned i = from; i < to; ++i) {
      const auto file = file_of({}, rich());
      Bytes block = superblock_bytes(rich());
      block[i] = std::byte{0x10};
      seal(block);
      file->write_at(4096, block);
      CHECK_ERRC(read_superblocks(*file), Errc::corrupt);
    }
  }
}

TEST_CASE("section 2: a file that ends before its used space was cut short; of the older superblock that is no matter") {
  SuperblockSpec one;
  one.end = kExtents + 8 * kBlock;
  const auto file = file_of({}, one);
  file->resize(kExtents + 7 * kBlock);
  CHECK_ERRC(read_superblocks(*file), Errc::corrupt);
  SuperblockSpec two;
  two.generation = 2;
  two.end = kExtents + 7 * kBlock;
  put_superblock(*file, two);
  CHECK(read_superblocks(*file).older->end == kExtents + 7 * kBlock);
  two.torn = true;  // then the one that is left may be the older one
  put_superblock(*file, two);
  CHECK(read_superblocks(*file).current.end == kExtents + 7 * kBlock);
}

}  // namespace
}  // namespace varve::test
