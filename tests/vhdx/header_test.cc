// The file's first MiB: identifier and headers [MS-VHDX 2.2.1, 2.2.2].
#include "vhdx/header.h"

#include "base/random.h"
#include "support/storages.h"
#include "vhdx/builder.h"

namespace varve::test {
namespace {

using Kind = StorageEvent::Kind;

/// Only what read_headers() looks at.
std::shared_ptr<MemoryStorage> file_with(const HeaderSpec& first, const HeaderSpec& second) {
  auto file = std::make_shared<MemoryStorage>("headers");
  file->resize(kMiB);
  file->write_at(64 * kKiB, header_bytes(first));
  file->write_at(128 * kKiB, header_bytes(second));
  return file;
}

vhdx::Headers read(const HeaderSpec& first, const HeaderSpec& second) { return vhdx::read_headers(*file_with(first, second)); }

HeaderSpec with_sequence(uint64_t sequence, bool torn = false) {
  HeaderSpec spec;
  spec.sequence = sequence;
  spec.torn = torn;
  return spec;
}

TEST_CASE("a header lies as the specification says, byte by byte") {
  HeaderSpec spec;
  spec.sequence = 0x1122334455667788;
  spec.log_guid = kLogGuid;
  spec.log_length = 3 * kMiB;
  spec.log_offset = 0x123400000;
  vhdx::Header header;
  header.sequence = spec.sequence;
  header.file_write_guid = parse_uuid(spec.file_guid);
  header.data_write_guid = parse_uuid(spec.data_guid);
  header.log_guid = parse_uuid(spec.log_guid);
  header.log_length = spec.log_length;
  header.log_offset = spec.log_offset;
  const vhdx::HeaderRaw raw = vhdx::encode(header);
  const auto bytes = bytes_of(raw);
  CHECK(Bytes(bytes.begin(), bytes.end()) == header_bytes(spec));
  CHECK(*read(spec, with_sequence(1)).copies[0].header == header);
}

TEST_CASE("GUIDs: the first three groups are little-endian on disk, and both ways are inverse") {
  Bytes bytes(16);
  for (unsigned i = 0; i < 16; ++i) bytes[i] = static_cast<std::byte>(i);
  const auto raw = load<vhdx::GuidRaw>(bytes);
  CHECK(format_uuid(vhdx::to_uuid(raw)) == "03020100-0504-0706-0809-0a0b0c0d0e0f");
  CHECK(vhdx::to_raw(vhdx::to_uuid(raw)) == raw);
  CHECK(format_uuid(vhdx::kBatRegion) == kBat);
  CHECK(format_uuid(vhdx::kMetadataRegion) == kMetadata);
  CHECK(format_uuid(vhdx::kFileParametersItem) == kFileParameters);
  CHECK(format_uuid(vhdx::kDiskSizeItem) == kDiskSize);
  CHECK(format_uuid(vhdx::kDiskIdItem) == kDiskId);
  CHECK(format_uuid(vhdx::kLogicalSectorItem) == kLogicalSector);
  CHECK(format_uuid(vhdx::kPhysicalSectorItem) == kPhysicalSector);
  CHECK(format_uuid(vhdx::kParentLocatorItem) == kParentLocator);
  CHECK(format_uuid(vhdx::kVhdxLocatorType) == kLocatorType);
}

TEST_CASE("the header with the larger sequence number counts, wherever it lies") {
  CHECK(read(with_sequence(7), with_sequence(8)).current == 1);
  CHECK(read(with_sequence(8), with_sequence(7)).current == 0);
  CHECK(read(with_sequence(0), with_sequence(UINT64_MAX)).current == 1);
}

TEST_CASE("one torn header is passed over, even the one with the larger sequence number; two are corrupt") {
  const vhdx::Headers first = read(with_sequence(7), with_sequence(8, true));
  CHECK(first.current == 0);
  CHECK(first.copies[1].fault == "its checksum is wrong");
  CHECK(read(with_sequence(8, true), with_sequence(7)).current == 1);
  CHECK_ERRC(read(with_sequence(8, true), with_sequence(7, true)), Errc::corrupt);
}

/// A part of the file can't be read.
class BadSectors final : public PassingStorage {
 public:
  BadSectors(std::shared_ptr<Storage> below, uint64_t from, uint64_t end) : PassingStorage(std::move(below)), from_(from), end_(end) {}
  void read_at(uint64_t offset, MutableBytes out) override {
    if (offset < end_ && offset + out.size() > from_) throw Error(Errc::io, "a bad sector").in(name());
    below_->read_at(offset, out);
  }

 private:
  const uint64_t from_;
  const uint64_t end_;
};

TEST_CASE("a copy of the header or the region table that can't be read is passed over; if no copy is whole then it is the host's fault") {
  for (const auto& [first, second] : {std::pair{64 * kKiB, 128 * kKiB}, std::pair{192 * kKiB, 256 * kKiB}}) {
    const VhdxSpec spec;
    CHECK_NOTHROW(Image::open(std::make_shared<BadSectors>(spec.build(), first, first + 1)));
    VhdxSpec torn;
    torn.headers[1].torn = first == 64 * kKiB;
    torn.torn_regions[1] = first != 64 * kKiB;
    CHECK_ERRC(Image::open(std::make_shared<BadSectors>(torn.build(), first, first + 1)), Errc::io);
    CHECK_ERRC(Image::open(std::make_shared<BadSectors>(spec.build(), first, second + 1)), Errc::io);
  }
}

TEST_CASE("a header without its signature, or behind the file's end, is not whole") {
  auto file = file_with(with_sequence(7), with_sequence(8));
  file->write_at(128 * kKiB, filled(4096, 0));
  CHECK(vhdx::read_headers(*file).copies[1].fault == "it has no signature");
  file->resize(128 * kKiB + 4095);
  CHECK(vhdx::read_headers(*file).copies[1].fault == "the file ends before it");
  file->resize(64 * kKiB + 4095);
  CHECK_ERRC(vhdx::read_headers(*file), Errc::corrupt);
}

TEST_CASE("equal sequence numbers: identical headers are taken, different ones are corrupt") {
  CHECK(read(with_sequence(5), with_sequence(5)).current == 0);
  HeaderSpec other = with_sequence(5);
  other.data_guid = kUnknown;
  CHECK_ERRC(read(with_sequence(5), other), Errc::corrupt);
}

TEST_CASE("an unknown version is unsupported; an unknown version of the log is, if the log holds something") {
  for (const uint16_t version : {uint16_t{0}, uint16_t{2}, uint16_t{0xffff}}) {
    HeaderSpec spec = with_sequence(9);
    spec.version = version;
    CHECK_ERRC(read(with_sequence(8), spec), Errc::unsupported);
  }
  HeaderSpec spec = with_sequence(9);
  spec.log_version = 1;
  CHECK_NOTHROW(read(with_sequence(8), spec));
  spec.log_guid = kLogGuid;
  CHECK_ERRC(read(with_sequence(8), spec), Errc::unsupported);
}

TEST_CASE("MEM-3: the log consists of whole MiB, at least one, behind the first") {
  const auto place = [](uint64_t offset, uint64_t length) {
    HeaderSpec spec = with_sequence(9);
    spec.log_offset = offset;
    spec.log_length = static_cast<uint32_t>(length);
    return read(with_sequence(8), spec);
  };
  CHECK_NOTHROW(place(kMiB, kMiB));
  CHECK_NOTHROW(place(5 * kTiB, 4095 * kMiB));
  for (const uint64_t offset : {uint64_t{0}, kMiB - 1, kMiB + 4096, kMiB / 2, uint64_t{UINT64_MAX}})
    CHECK_ERRC(place(offset, kMiB), Errc::corrupt);
  for (const uint64_t length : {uint64_t{0}, kMiB - 4096, kMiB + 4096, uint64_t{UINT32_MAX}})
    CHECK_ERRC(place(kMiB, length), Errc::corrupt);
  CHECK_THROWS_AS(place(UINT64_MAX - kMiB + 1, kMiB), Error);
}

TEST_CASE("replacing the header writes the older copy, flushes, then the other one, and flushes") {
  auto file = file_with(with_sequence(7), with_sequence(8));
  auto log = std::make_shared<EventLog>();
  RecordingStorage recorded(file, log);
  vhdx::Headers headers = vhdx::read_headers(recorded);
  vhdx::Header header = headers.header();
  header.data_write_guid = parse_uuid(kUnknown);
  vhdx::replace_header(recorded, headers, header);

  const std::vector<StorageEvent> events = log->events();
  REQUIRE(events.size() == 4);
  CHECK(events[0].offset == 64 * kKiB);
  CHECK(events[1].kind == Kind::flush);
  CHECK(events[2].offset == 128 * kKiB);
  CHECK(events[3].kind == Kind::flush);
  CHECK(get(file->contents(), 64 * kKiB + 8, 8) == 9);
  CHECK(get(file->contents(), 128 * kKiB + 8, 8) == 10);
  for (const uint64_t at : {64 * kKiB, 128 * kKiB}) CHECK(get_guid(file->contents(), at + 32) == kUnknown);
  CHECK(headers.current == 1);
}

TEST_CASE("at each cut of replacing the header, torn writes too, the old or the new one is read") {
  auto file = file_with(with_sequence(7), with_sequence(8));
  const Bytes before = file->contents();
  auto log = std::make_shared<EventLog>();
  RecordingStorage recorded(file, log);
  vhdx::Headers headers = vhdx::read_headers(recorded);
  vhdx::Header header = headers.header();
  header.file_write_guid = parse_uuid(kUnknown);
  vhdx::replace_header(recorded, headers, header);
  const std::vector<StorageEvent> events = log->events();
  for (size_t cut = 0; cut <= events.size(); ++cut) {
    MemoryStorage left("left", before);
    for (size_t i = 0; i < cut; ++i) test::replay(events[i], left);
    if (cut < events.size() && events[cut].kind == Kind::write) left.write_at(events[cut].offset, ConstBytes(events[cut].data).first(48));
    const std::string guid = format_uuid(vhdx::read_headers(left).header().file_write_guid);
    CHECK((guid == kFileGuid || guid == kUnknown));
    if (cut >= 2) CHECK(guid == kUnknown);
  }
}

TEST_CASE("a copy of the header that the host can't read is as good as torn, but without the other the error is the host's") {
  for (const bool torn : {false, true}) {
    const auto plan = std::make_shared<FaultPlan>(0, FaultKind::io, false, Hit::read);
    FaultyStorage faulty(file_with(with_sequence(2), with_sequence(1, torn)), plan);
    if (torn)
      CHECK_ERRC(vhdx::read_headers(faulty), Errc::io);
    else
      CHECK(vhdx::read_headers(faulty).header().sequence == 1);
  }
}

TEST_CASE("MEM-22: a sequence number near 2^64 has no successor: limit, and nothing is written") {
  for (const uint64_t sequence : {UINT64_MAX, UINT64_MAX - 1, UINT64_MAX - 65536, UINT64_MAX - 65537}) {
    auto file = file_with(with_sequence(1), with_sequence(sequence));
    const Bytes before = file->contents();
    vhdx::Headers headers = vhdx::read_headers(*file);
    CHECK_ERRC(vhdx::replace_header(*file, headers, headers.header()), Errc::limit);
    CHECK(file->contents() == before);
  }
  auto file = file_with(with_sequence(1), with_sequence(UINT64_MAX - 65538));
  vhdx::Headers headers = vhdx::read_headers(*file);
  CHECK_NOTHROW(vhdx::replace_header(*file, headers, headers.header()));
}

TEST_CASE("the identifier: what is no VHDX is corrupt, and the creator is told where it is text") {
  VhdxSpec spec;
  spec.creator = "Some Program 10.0";
  World world(spec);
  for (const auto& [key, value] : world.open().info().details)
    if (key == "creator") CHECK(std::get<std::string>(value) == "Some Program 10.0");

  spec.data[8] = Bytes{std::byte{0x00}, std::byte{0xd8}, std::byte{0x41}, std::byte{0x00}};  // an unpaired surrogate
  World garbled(spec);
  CHECK_NOTHROW(garbled.open());

  spec.data[0] = Bytes{std::byte{'v'}, std::byte{'h'}, std::byte{'d'}, std::byte{'y'}};
  opening_fails(spec, Errc::corrupt);
}

}  // namespace
}  // namespace varve::test
