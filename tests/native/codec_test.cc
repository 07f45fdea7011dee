// Clusters as they are stored, and the cache of what was read (section 5.2).
#include <zlib.h>
#include <zstd.h>

#include "native/builder.h"
#include "native/extents.h"
#include "support/seeds.h"
#include "support/storages.h"

namespace varve::test {
namespace {

using native::ClusterCodec;
using native::CodecId;
using native::ExtentCache;
using native::Pointer;
using native::StoredCluster;

constexpr size_t kCluster = 65536;

ClusterCodec codec(CodecId id, uint64_t unit = 512) {
  native::Header header;
  header.cluster_size = kCluster;
  header.unit = unit;
  header.codec = id;
  header.level = id == CodecId::zlib ? 6 : 3;
  return ClusterCodec(header);
}

Bytes text() {
  Bytes out;
  for (unsigned i = 0; out.size() < kCluster; ++i) out.push_back(static_cast<std::byte>(i * i >> 6));
  return out;
}

Bytes noise() {
  Rng rng("noise");
  Bytes out(kCluster);
  for (std::byte& b : out) b = static_cast<std::byte>(rng.next());
  return out;
}

/// By the original libraries.
Bytes deflated(const Bytes& plain) {
  Bytes out(compressBound(plain.size()) + 10);
  uLongf size = out.size();
  REQUIRE(compress2(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(plain.data()), plain.size(), 9) == Z_OK);
  out.resize(size);
  return out;
}

/// `window`: the descriptor's byte; 0: a frame of a single segment, whose window is its content.
Bytes zstd(const Bytes& plain, unsigned window = 0) {
  Bytes out(ZSTD_compressBound(plain.size()));
  ZSTD_CCtx* context = ZSTD_createCCtx();
  if (window != 0) ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
  const size_t size = ZSTD_compress2(context, out.data(), out.size(), plain.data(), plain.size());
  ZSTD_freeCCtx(context);
  REQUIRE_FALSE(ZSTD_isError(size));
  out.resize(size);
  if (window != 0) {
    REQUIRE((static_cast<unsigned>(out[4]) & 0x20) == 0);
    out[5] = static_cast<std::byte>(window);
  }
  return out;
}

Bytes padded(Bytes stored, size_t unit = 512) {
  stored.resize((stored.size() + unit - 1) / unit * unit);
  return stored;
}

Bytes decoded(CodecId id, const Bytes& stored) {
  Bytes out(kCluster, std::byte{0xee});
  codec(CodecId::none).decompress(id, stored, out);
  return out;
}

TEST_CASE("a cluster of zeros is stored nowhere, and one that saves no unit as it is") {
  for (const CodecId id : {CodecId::none, CodecId::zlib, CodecId::zstd}) {
    const StoredCluster zero = codec(id).encode(Bytes(kCluster));
    CHECK(zero.zero);
    CHECK(zero.packed.empty());
    const Bytes plain = noise();
    const StoredCluster stored = codec(id).encode(plain);
    CHECK_FALSE(stored.zero);
    CHECK(stored.packed.empty());
    CHECK(static_cast<int>(stored.codec) == 0);
    CHECK(stored.tag == tag_bytes(plain));
  }
}

TEST_CASE("zeros at the ends of a cluster are not stored, in whole granules") {
  Bytes plain(kCluster);
  const uint64_t granule = native::granule_of(kCluster);
  plain[2 * granule + 7] = std::byte{1};
  for (const CodecId id : {CodecId::none, CodecId::zstd}) {
    const StoredCluster one = codec(id, 4096).encode(plain);
    CHECK(one.packed.empty());
    CHECK(one.begin == 2 * granule);
    CHECK(one.length == granule);
    CHECK(one.bytes(plain).data() == plain.data() + 2 * granule);
    CHECK(one.tag == tag_bytes(ConstBytes(plain).subspan(2 * granule, granule)));
  }
  plain[kCluster - 1] = std::byte{1};
  CHECK(codec(CodecId::none).encode(plain).length == kCluster - 2 * granule);
  plain[0] = std::byte{1};
  const StoredCluster whole = codec(CodecId::none).encode(plain);
  CHECK(whole.begin == 0);
  CHECK(whole.length == kCluster);
  CHECK(native::granule_of(4096) == 4096);
  CHECK(native::granule_of(131072) == 4096);
  CHECK(native::granule_of(2097152) == 65536);
}

TEST_CASE("a cluster that compresses takes whole units, zeros behind the frame, and decodes to itself") {
  for (const uint64_t unit : {512, 4096}) {
    for (const CodecId id : {CodecId::zlib, CodecId::zstd}) {
      const Bytes plain = text();
      const StoredCluster stored = codec(id, unit).encode(plain);
      CHECK(static_cast<int>(stored.codec) == static_cast<int>(id));
      CHECK_FALSE(stored.packed.empty());
      CHECK(stored.packed.size() % unit == 0);
      CHECK(stored.packed.size() <= kCluster - unit);
      CHECK(stored.tag == tag_bytes(stored.packed));
      CHECK(decoded(id, stored.packed) == plain);
    }
  }
  CHECK(codec(CodecId::none).encode(text()).packed.empty());
}

TEST_CASE("section 5.2: what the original libraries write is read") {
  CHECK(decoded(CodecId::zlib, padded(deflated(text()))) == text());
  CHECK(decoded(CodecId::zstd, padded(zstd(text()))) == text());
  CHECK(decoded(CodecId::zstd, padded(zstd(text(), 6 << 3))) == text());
  CHECK(decoded(CodecId::zlib, deflated(text())) == text());  // a frame that fills its units
}

TEST_CASE("section 5.2: something behind a frame, another length, half a frame and a large window are corrupt") {
  for (const CodecId id : {CodecId::zlib, CodecId::zstd}) {
    CAPTURE(static_cast<int>(id));
    const auto pack = [&](const Bytes& plain) { return id == CodecId::zlib ? deflated(plain) : zstd(plain); };
    const Bytes frame = pack(text());
    for (const size_t at : {frame.size(), padded(frame).size() - 1}) {
      Bytes stored = padded(frame + Bytes(1));
      stored[at] = std::byte{1};
      CHECK_ERRC(decoded(id, stored), Errc::corrupt);
    }
    CHECK_ERRC(decoded(id, padded(frame + frame)), Errc::corrupt);
    Bytes longer = text();
    longer.push_back(std::byte{1});
    CHECK_ERRC(decoded(id, padded(pack(longer))), Errc::corrupt);
    Bytes shorter = text();
    shorter.pop_back();
    CHECK_ERRC(decoded(id, padded(pack(shorter))), Errc::corrupt);
    CHECK_ERRC(decoded(id, padded(pack({}))), Errc::corrupt);
    for (const size_t size : {size_t{0}, size_t{1}, size_t{4}, frame.size() / 2, frame.size() - 1})
      CHECK_ERRC(decoded(id, Bytes(frame.begin(), frame.begin() + static_cast<ptrdiff_t>(size))), Errc::corrupt);
    CHECK_ERRC(decoded(id, Bytes(512)), Errc::corrupt);
    CHECK_ERRC(decoded(id, noise()), Errc::corrupt);
    CHECK(decoded(id, padded(frame)) == text());  // and the decoder is as good as new
  }
  for (const unsigned window : {6U << 3 | 1, 7U << 3, 17U << 3, 21U << 3 | 7})
    CHECK_ERRC(decoded(CodecId::zstd, padded(zstd(text(), window))), Errc::corrupt);
}

// ---- the cache ---------------------------------------------------------------------------------------

Pointer pointer(uint64_t offset, uint64_t birth = 1) {
  Pointer p;
  p.kind = native::Kind::data;
  p.offset = offset;
  p.length = 512;
  p.birth = birth;
  return p;
}

TEST_CASE("a cache finds by the whole pointer, and the least recently used goes first") {
  ExtentCache<int> cache(3);
  const auto value = [&](const Pointer& p) {
    const auto found = cache.find(p);
    return found ? *found : 0;
  };
  for (int i = 1; i <= 3; ++i) cache.insert(pointer(512 * i), std::make_shared<int>(i));
  CHECK(value(pointer(512)) == 1);  // is the youngest now
  cache.insert(pointer(512 * 4), std::make_shared<int>(4));
  CHECK(value(pointer(512 * 2)) == 0);
  CHECK(value(pointer(512)) == 1);
  CHECK(value(pointer(512 * 3)) == 3);
  CHECK(value(pointer(512 * 4)) == 4);
  CHECK(value(pointer(512, 2)) == 0);  // the place belongs to another
  Pointer tagged = pointer(512);
  tagged.tag[7] = 1;
  CHECK(value(tagged) == 0);
  cache.insert(pointer(512, 2), std::make_shared<int>(12));  // instead of the old one
  CHECK(value(pointer(512)) == 0);
  CHECK(value(pointer(512, 2)) == 12);
  CHECK(value(pointer(512 * 3)) == 3);
  CHECK(value(pointer(512 * 4)) == 4);
  ExtentCache<int> none(0);
  none.insert(pointer(512), std::make_shared<int>(1));
  CHECK_FALSE(none.find(pointer(512)));
}

TEST_CASE("extents: verified against the tag, decoded, and served from memory the next time") {
  const auto file = std::make_shared<MemoryStorage>("image");
  native::Header header;
  header.cluster_size = kCluster;
  header.unit = 512;
  const Bytes stored = padded(deflated(text()));
  file->resize(kExtents + stored.size());
  file->write_at(kExtents, stored);
  Pointer p = pointer(kExtents);
  p.length = stored.size();
  p.codec = CodecId::zlib;
  p.tag = tag_bytes(stored);
  native::Extents extents(file, header, kMiB / 2, kMiB / 2);
  Bytes out(100);
  extents.read(p, 5000, out);
  CHECK(std::equal(out.begin(), out.end(), text().begin() + 5000));
  file->write_at(kExtents + 100, Bytes(1, std::byte{0xff}));
  extents.read(p, 0, out);  // from memory
  CHECK(std::equal(out.begin(), out.end(), text().begin()));
  CHECK_ERRC(extents.verify(p, kCluster), Errc::corrupt);
  CHECK_ERRC(native::Extents(file, header, kMiB / 2, kMiB / 2).read(p, 0, out), Errc::corrupt);
  file->write_at(kExtents, stored);
  CHECK_NOTHROW(extents.verify(p, kCluster));
  CHECK_ERRC(extents.verify(p, 10), Errc::corrupt);  // something stands behind the end
  p.tag[0] ^= 1;
  CHECK_ERRC(extents.read(p, 0, out), Errc::corrupt);
}

TEST_CASE("extents: of a cluster that was verified once only the blocks in question are read again, and held against what they were") {
  const auto file = std::make_shared<MemoryStorage>("image");
  const auto traced = std::make_shared<TracedStorage>(file);
  native::Header header;
  header.cluster_size = kCluster;
  header.unit = 512;
  const uint64_t granule = native::granule_of(kCluster);
  const uint64_t stored_bytes = kCluster - 2 * granule;  // a granule of zeros before it, and one behind it
  Rng rng("sums of blocks");
  Bytes disk(kCluster);
  for (uint64_t at = granule; at < granule + stored_bytes; ++at) disk[at] = static_cast<std::byte>(rng.next());
  const Bytes stored(disk.begin() + static_cast<ptrdiff_t>(granule), disk.begin() + static_cast<ptrdiff_t>(granule + stored_bytes));
  file->resize(kExtents + stored.size());
  file->write_at(kExtents, stored);
  Pointer p = pointer(kExtents);
  p.length = stored.size();
  p.skip = 1;
  p.tag = tag_bytes(stored);
  native::Extents extents(traced, header, kMiB, 0);  // no cluster is kept
  const auto reads_right = [&](uint64_t within, uint64_t length) {
    Bytes out(length);
    extents.read(p, within, out);
    return std::equal(out.begin(), out.end(), disk.begin() + static_cast<ptrdiff_t>(within));
  };
  CHECK(reads_right(granule + 5000, 100));
  CHECK(traced->reads == std::vector<Interval>{{kExtents, stored_bytes}});
  traced->reads.clear();
  CHECK(reads_right(granule + 5000, 100));
  CHECK(traced->reads == std::vector<Interval>{{kExtents + 4096, 4096}});
  for (int i = 0; i < 1000; ++i) {
    const uint64_t within = rng.below(kCluster);
    CHECK(reads_right(within, rng.between(1, std::min<uint64_t>(kCluster - within, 9000))));
  }
  Bytes out(100);
  file->write_at(kExtents + 4096 + 7, Bytes(1, stored[4096 + 7] ^ std::byte{1}));
  CHECK(reads_right(granule, 100));  // of a block that is as it was
  CHECK_ERRC(extents.read(p, granule + 5000, out), Errc::corrupt);
  file->write_at(kExtents, stored);
  CHECK(reads_right(granule + 5000, 100));
}

TEST_CASE("a node's entries are held against its level and birth, and the fault is named with its place") {
  const auto file = std::make_shared<MemoryStorage>("image");
  native::Header header;
  header.cluster_size = kCluster;
  header.unit = 512;
  Bytes node(kNode);
  PointerSpec entry;
  entry.kind = 1;
  entry.level = 1;
  entry.birth = 4;
  put_bytes(node, 32 * 511, pointer_bytes(entry));
  const auto read = [&](unsigned level, uint64_t birth) {
    file->resize(kExtents + kNode);
    file->write_at(kExtents, node);
    Pointer p = pointer(kExtents, birth);
    p.kind = native::Kind::node;
    p.level = static_cast<uint8_t>(level);
    p.length = kNode;
    p.tag = tag_bytes(node);
    return native::Extents(file, header, kMiB / 2, kMiB / 2).node(p, kMiB);
  };
  CHECK(read(2, 4)->at(511) == native::zero_pointer(4, 1));
  CHECK(read(2, 4)->at(0) == Pointer());
  CHECK_ERRC(read(2, 3), Errc::corrupt);
  CHECK_ERRC(read(1, 4), Errc::corrupt);
  CHECK_ERRC(read(3, 4), Errc::corrupt);
  try {
    read(2, 3);
  } catch (const Error& error) {
    CHECK(error.offset() == kExtents + 32 * 511);
  }
}

}  // namespace
}  // namespace varve::test
