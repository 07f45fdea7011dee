// Hostile streams that come down a pipe: what arrives is all there is, and a reader of the file must see the same disk.
#include "support/pipes.h"

#include <array>
#include <functional>

#include "hostile/entry_points.h"
#include "support/heap.h"
#include "support/pattern.h"
#include "support/seeds.h"
#include "vmdk/vmdk.h"

namespace varve::test {
namespace {

constexpr uint64_t kMiB = 1 << 20;

Bytes read_pipe(Bytes bytes, const Limits& limits = {}) {
  PipeContext context(limits);
  const auto reader = vmdk_driver().open_stream(std::make_shared<BytesSource>(std::move(bytes)), context);
  return read_stream(*reader);
}

Bytes read_file(ConstBytes bytes) {
  HostileWorld world(bytes);
  Image image = world.open();
  Bytes disk(static_cast<size_t>(image.size()));
  image.read_at(0, disk);
  return disk;
}

void append_marker(Bytes& bytes, uint64_t sectors, vmdk::MarkerType type) {
  vmdk::MarkerRaw marker{};
  marker.value = sectors;
  marker.type = static_cast<uint32_t>(type);
  const size_t at = bytes.size();
  bytes.resize(at + 512);
  put(bytes, at, bytes_of(marker));
}

/// The header of StreamImage with `change`, and nothing behind it but its descriptor.
Bytes header_alone(const std::function<void(vmdk::SparseHeaderRaw&)>& change) {
  StreamImage stream;
  vmdk::SparseHeaderRaw header = stream.header_at(0);
  change(header);
  stream.put_header(0, header);
  stream.bytes.resize(1024);
  return stream.bytes;
}

TEST_CASE("RES-1: what a stream's header announces takes no memory before it has arrived") {
  const std::vector<Bytes> short_streams = {header_alone([](vmdk::SparseHeaderRaw& h) { h.overhead = 64 * kMiB / 512; }),
                                            header_alone([](vmdk::SparseHeaderRaw& h) { h.overhead = uint64_t{1} << 54; }),
                                            header_alone([](vmdk::SparseHeaderRaw& h) { h.descriptor_size = 2047; }),
                                            header_alone([](vmdk::SparseHeaderRaw& h) {
                                              h.capacity = uint64_t{1} << 38;  // a directory of 16 MiB
                                              h.descriptor_offset = 0;
                                              h.gd_offset = 1;
                                              h.overhead = 1 << 20;
                                            })};
  for (size_t i = 0; i < short_streams.size(); ++i) {
    INFO("stream " << i);
    heap_reset_peak();
    CHECK_ERRC(read_pipe(short_streams[i]), Errc::corrupt);
    CHECK(heap_peak() <= 512 << 10);
  }
}

TEST_CASE("RES-11: tables without end are more than a reader of a pipe remembers") {
  StreamImage stream;
  vmdk::SparseHeaderRaw header = stream.header_at(0);
  header.num_gtes_per_gt = 1;
  stream.put_header(0, header);
  Bytes bytes(stream.bytes.begin(), stream.bytes.begin() + 128 * 512);
  while (bytes.size() < 20 * kMiB) {
    append_marker(bytes, 1, vmdk::MarkerType::grain_table);
    bytes.resize(bytes.size() + 512);
  }
  Limits limits;
  limits.metadata_bytes = kMiB;
  PipeContext context(limits);
  const auto source = std::make_shared<BytesSource>(std::move(bytes));
  heap_reset_peak();
  const auto reader = vmdk_driver().open_stream(source, context);
  CHECK_ERRC(reader->next(), Errc::limit);
  CHECK(heap_peak() <= 2 * kMiB);
}

TEST_CASE("RES-11: markers that announce more or less than can follow are corrupt, whatever follows") {
  const StreamImage stream;
  for (const uint64_t at : {stream.table_marker_at, stream.directory_marker_at, stream.footer_at() - 512}) {
    for (const uint64_t sectors : {uint64_t{0}, uint64_t{2}, uint64_t{5}, uint64_t{1} << 40, UINT64_MAX}) {
      INFO("marker at " << at << ", " << sectors << " sectors");
      Bytes bytes = stream.bytes;
      put64(bytes, at, sectors);
      CHECK_ERRC(read_pipe(bytes), Errc::corrupt);
    }
  }
}

TEST_CASE("RES-8: a grain from a pipe that inflates a thousandfold costs one grain of memory") {
  StreamImage stream(1);
  const Bytes bomb = zlib(Bytes(64 * kMiB));
  Bytes bytes(stream.bytes.begin(), stream.bytes.begin() + static_cast<std::ptrdiff_t>(stream.grain_at(0)));
  put64(bytes, stream.grain_at(0), 0);
  put32(bytes, stream.grain_at(0) + 8, static_cast<uint32_t>(bomb.size()));
  put(bytes, stream.grain_at(0) + 12, bomb);
  bytes.resize((bytes.size() + 511) / 512 * 512);
  bytes.insert(bytes.end(), stream.bytes.begin() + static_cast<std::ptrdiff_t>(stream.table_marker_at), stream.bytes.end());
  heap_reset_peak();
  CHECK_ERRC(read_pipe(bytes), Errc::corrupt);
  CHECK(heap_peak() <= 2 * kMiB);
}

// ---- the tables and the grains -----------------------------------------------------------------------------

struct Change {
  const char* what;
  std::function<void(StreamImage&)> make;
};

uint64_t table_at(const StreamImage& s) { return s.table_marker_at + 512; }
uint64_t directory_at(const StreamImage& s) { return s.directory_marker_at + 512; }
uint32_t sector_of(const StreamImage& s, size_t grain) { return static_cast<uint32_t>(s.grain_at(grain) / 512); }

void insert(StreamImage& s, uint64_t at, ConstBytes bytes) {
  s.bytes.insert(s.bytes.begin() + static_cast<std::ptrdiff_t>(at), bytes.begin(), bytes.end());
}
void erase(StreamImage& s, uint64_t from, uint64_t to) {
  s.bytes.erase(s.bytes.begin() + static_cast<std::ptrdiff_t>(from), s.bytes.begin() + static_cast<std::ptrdiff_t>(to));
}

TEST_CASE("MEM-19: a pipe is corrupt unless directory and tables name the grains that came by, where they were") {
  const std::vector<Change> changes = {
      {"no entry for a grain", [](StreamImage& s) { put32(s.bytes, table_at(s) + 4, 0); }},
      {"an entry of a grain's inside", [](StreamImage& s) { put32(s.bytes, table_at(s) + 4, sector_of(s, 1) + 1); }},
      {"two entries exchanged",
       [](StreamImage& s) {
         put32(s.bytes, table_at(s) + 4, sector_of(s, 2));
         put32(s.bytes, table_at(s) + 8, sector_of(s, 1));
       }},
      {"one grain twice", [](StreamImage& s) { put32(s.bytes, table_at(s) + 4, sector_of(s, 0)); }},
      {"an entry more", [](StreamImage& s) { put32(s.bytes, table_at(s) + 4 * 4, sector_of(s, 0)); }},
      {"an entry behind the disk's end", [](StreamImage& s) { put32(s.bytes, table_at(s) + 511 * 4, 1); }},
      {"an entry of zeros without the flag", [](StreamImage& s) { put32(s.bytes, table_at(s) + 4 * 4, 1); }},
      {"a directory of nothing", [](StreamImage& s) { put32(s.bytes, directory_at(s), 0); }},
      {"a directory that names what is no table", [](StreamImage& s) { put32(s.bytes, directory_at(s), sector_of(s, 0)); }},
      {"a footer that names a table as the directory",
       [](StreamImage& s) {
         vmdk::SparseHeaderRaw footer = s.header_at(s.footer_at());
         footer.gd_offset = table_at(s) / 512;
         s.put_header(s.footer_at(), footer);
       }},
      {"no table", [](StreamImage& s) { erase(s, s.table_marker_at, s.directory_marker_at); }},
      {"no directory", [](StreamImage& s) { erase(s, s.directory_marker_at, s.footer_at() - 512); }},
      {"a grain moved by a marker", [](StreamImage& s) { put64(s.bytes, s.grain_at(3), 5 * 128); }},
      {"a progress marker that moves all", [](StreamImage& s) {
         Bytes marker;
         append_marker(marker, 0, vmdk::MarkerType::progress);
         insert(s, s.grain_at(0), marker);
       }}};
  for (const Change& change : changes) {
    INFO(std::string(change.what));
    StreamImage stream;
    REQUIRE_NOTHROW(read_pipe(stream.bytes));
    put64(stream.bytes, 12, 128 * 6);  // two grains that are not there, in header and footer
    put64(stream.bytes, stream.footer_at() + 12, 128 * 6);
    Bytes text = bytes_of_text(descriptor_text("streamOptimized", "RW 768 SPARSE \"disk.vmdk\""));
    put(stream.bytes, 512, text);
    REQUIRE_NOTHROW(read_pipe(stream.bytes));
    change.make(stream);
    CHECK_ERRC(read_pipe(stream.bytes), Errc::corrupt);
  }
}

TEST_CASE("PRB-6: a stream ends behind its footer: no grain, no second footer, no data may follow") {
  const StreamImage good;
  const uint64_t end = good.footer_at() + 512;
  const Bytes grain(good.bytes.begin() + static_cast<std::ptrdiff_t>(good.grain_at(3)),
                    good.bytes.begin() + static_cast<std::ptrdiff_t>(good.table_marker_at));
  const Bytes footer(good.bytes.begin() + static_cast<std::ptrdiff_t>(good.footer_at() - 512),
                     good.bytes.begin() + static_cast<std::ptrdiff_t>(end));
  for (const Bytes& more : {grain, footer}) {
    StreamImage stream;
    insert(stream, end, more);
    CHECK_ERRC(read_pipe(stream.bytes), Errc::corrupt);
  }
  for (const size_t behind : {0, 511, 512, 100000}) {
    Bytes bytes = good.bytes;
    bytes.resize(bytes.size() + behind);
    CHECK_NOTHROW(read_pipe(bytes));
    bytes.push_back(std::byte{1});
    CHECK_ERRC(read_pipe(bytes), Errc::corrupt);
  }
}

TEST_CASE("MEM-20: a stream that ends early is corrupt wherever it ends, its end-of-stream sector included") {
  const StreamImage stream;
  for (size_t length = 0; length < stream.bytes.size(); length += length % 512 == 0 ? 1 : 511) {
    INFO("cut at " << length);
    CHECK_ERRC(read_pipe({stream.bytes.begin(), stream.bytes.begin() + static_cast<std::ptrdiff_t>(length)}), Errc::corrupt);
  }
}

TEST_CASE("PRB-6: a pipe takes no marker with something in its padding") {
  const StreamImage sound;
  CHECK_NOTHROW(read_pipe(sound.bytes));
  for (const uint64_t marker : {sound.table_marker_at, sound.directory_marker_at, sound.footer_at() - 512, sound.footer_at() + 512}) {
    for (const uint64_t byte : {16, 100, 511}) {
      INFO("byte " << byte << " of the marker at " << marker);
      Bytes bytes = sound.bytes;
      bytes[marker + byte] = std::byte{1};
      CHECK_ERRC(read_pipe(bytes), Errc::corrupt);
    }
  }
}

TEST_CASE("PRB-6: a pipe takes no stream whose descriptor tells of another disk: a delta, a file, a second extent, another size") {
  const auto with = [](const std::string& extents, const std::string& more = {}) {
    StreamImage stream;
    Bytes text = bytes_of_text(descriptor_text("streamOptimized", extents, more));
    text.resize(20 * 512);
    put(stream.bytes, 512, text);
    return stream.bytes;
  };
  CHECK_NOTHROW(read_pipe(with("RW 512 SPARSE \"any name.vmdk\"")));
  CHECK_NOTHROW(read_pipe(with("")));
  for (const char* extents : {"RW 512 FLAT \"secret.raw\" 0", "RW 512 ZERO", "NOACCESS 512 SPARSE \"disk.vmdk\"",
                              "RW 384 SPARSE \"disk.vmdk\"", "RW 640 SPARSE \"disk.vmdk\"", "RW 512 SPARSE \"disk.vmdk\"\nRW 512 ZERO"}) {
    INFO(std::string(extents));
    CHECK_ERRC(read_pipe(with(extents)), Errc::unsupported);
  }
  StreamImage delta;
  const std::string none = "parentCID=ffffffff";
  const Bytes key = bytes_of_text(none);
  const auto at = std::search(delta.bytes.begin(), delta.bytes.end(), key.begin(), key.end()) - delta.bytes.begin();
  put(delta.bytes, static_cast<uint64_t>(at), bytes_of_text("parentCID=12345678"));
  CHECK_ERRC(read_pipe(delta.bytes), Errc::unsupported);
  put(delta.bytes, static_cast<uint64_t>(at), bytes_of_text("parentCID=nonsense"));
  CHECK_ERRC(read_pipe(delta.bytes), Errc::corrupt);
}

TEST_CASE("PRB-6: what a pipe reads of a damaged stream is what the file holds") {
  Rng rng("damaged pipes");
  SHOW_SEED(rng);
  const StreamImage stream(6);
  uint64_t accepted = 0;
  const uint64_t rounds = scaled(1000);
  Limits limits;
  limits.virtual_size = 16 * kMiB;
  for (uint64_t round = 0; round < rounds; ++round) {
    Bytes bytes = stream.bytes;
    // One bit of a structure: not of the compressed data, whose checksum any reader sees.
    const std::array<uint64_t, 5> places = {rng.below(80), 512 + rng.below(300), stream.grain_at(rng.below(6)) + rng.below(12),
                                            stream.table_marker_at + rng.below(600), stream.directory_marker_at + rng.below(1700)};
    const uint64_t at = rng.pick(std::span<const uint64_t>(places));
    bytes.at(at) ^= static_cast<std::byte>(1 << rng.below(8));
    Bytes piped;
    try {
      piped = read_pipe(bytes, limits);
    } catch (const Error&) {
      continue;
    }
    ++accepted;
    INFO("byte " << at);
    try {
      const Bytes stored = read_file(bytes);
      CHECK((stored == piped));
    } catch (const Error& error) {
      CHECK_MESSAGE(at >= 512, error.what());  // the descriptor of a file has more to say
    }
  }
  CHECK(accepted > 0);
}

}  // namespace
}  // namespace varve::test
