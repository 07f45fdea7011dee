#include "native/header.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <vector>

#include "base/checked_math.h"
#include "base/zero.h"
#include "native/tag.h"
#include "varve/error.h"

namespace varve::native {
namespace {

bool tag_right(const HeaderRaw& raw) { return tag_of(ConstBytes(bytes_of(raw)).first(offsetof(HeaderRaw, tag))) == raw.tag; }

/// nullopt, and why, if there is no header at `offset`.
std::optional<HeaderRaw> read_copy(Storage& file, uint64_t offset, std::string& fault) {
  const auto none = [&](const char* why) {
    fault = why;
    return std::nullopt;
  };
  if (!range_fits(offset, kBlock, file.size())) return none("the file ends before it");
  std::vector<std::byte> bytes(kBlock);
  try {
    file.read_at(offset, bytes);
  } catch (const Error& error) {
    if (error.code() != Errc::io) throw;
    return none("it can't be read");
  }
  const auto raw = load<HeaderRaw>(bytes);
  if (raw.magic != kHeaderMagic) return none("it has no magic");
  if (!tag_right(raw)) return none("its tag is wrong");
  return raw;
}

void check_features(const HeaderRaw& raw) {
  if (raw.version != kVersion) throw Error(Errc::unsupported, "version " + std::to_string(raw.version) + " of the format, known is 1");
  if ((raw.incompatible & ~kEncrypted) != 0) {
    throw Error(Errc::unsupported, "the image has features that this program does not know: " + std::to_string(raw.incompatible))
        .hint("use a newer version");
  }
}

Header parse(const HeaderRaw& raw) {
  const auto bad = [](const char* what) { throw Error(Errc::corrupt, std::string("the header ") + what); };
  check_features(raw);
  Header header;
  header.sequence = raw.sequence;
  header.compatible = raw.compatible;
  header.encrypted = (raw.incompatible & kEncrypted) != 0;
  header.may_be_written = raw.read_only_compatible == 0;
  header.image_uuid.bytes = raw.image_uuid;
  header.crypt_uuid.bytes = raw.crypt_uuid;
  header.cluster_size = raw.cluster_size;
  header.unit = raw.unit;
  header.level = static_cast<int16_t>(uint16_t{raw.level});
  header.journal_bytes = raw.journal_bytes;
  if (raw.reserved != 0 || !is_zero(std::as_bytes(std::span(raw.reserved2)))) bad("has reserved bytes set");
  if (header.sequence == 0) bad("has no sequence");
  if (!is_power_of_two(header.cluster_size) || header.cluster_size < kMinCluster || header.cluster_size > kMaxCluster)
    bad("names clusters that are no power of two from 4 KiB to 2 MiB");
  if (header.unit != 512 && header.unit != 4096) bad("names units of neither 512 nor 4096 bytes");
  if (raw.node_size != kNodeSize) bad("names nodes of another size than 16 KiB");
  if (raw.codec > static_cast<unsigned>(CodecId::zstd))
    throw Error(Errc::unsupported, "the image is written with a codec that is not known");
  header.codec = static_cast<CodecId>(uint16_t{raw.codec});
  const uint64_t journal = header.journal_bytes;
  if (journal != 0 && (journal % (2 * kBlock) != 0 || journal < kMinJournal || journal > kMaxJournal))
    bad("names a journal of no possible size");
  return header;
}

}  // namespace

Headers read_headers(Storage& file) {
  Headers headers;
  const auto first = read_copy(file, kRegions[0], headers.faults[0]);
  const auto second = read_copy(file, kRegions[1], headers.faults[1]);
  if (!first && !second) {
    throw Error(Errc::corrupt,
                "neither copy of the header is whole: of the first, " + headers.faults[0] + "; of the second, " + headers.faults[1])
        .at(kRegions[0]);
  }
  if (first && second && first->sequence == second->sequence && std::memcmp(&*first, &*second, sizeof(HeaderRaw)) != 0)
    throw Error(Errc::corrupt, "two different headers bear the same sequence").at(kRegions[0]);
  const bool take_second = !first || (second && second->sequence > first->sequence);
  headers.raw = take_second ? *second : *first;
  headers.header = parse(headers.raw);
  if (first && second && first->sequence != second->sequence) headers.faults[take_second ? 0 : 1] = "it is older";
  return headers;
}

HeaderRaw encode(const Header& header) {
  HeaderRaw raw{};
  raw.magic = kHeaderMagic;
  raw.version = kVersion;
  raw.sequence = header.sequence;
  raw.incompatible = header.encrypted ? kEncrypted : 0;
  raw.compatible = header.compatible;
  raw.image_uuid = header.image_uuid.bytes;
  raw.crypt_uuid = header.crypt_uuid.bytes;
  raw.cluster_size = static_cast<uint32_t>(header.cluster_size);
  raw.unit = static_cast<uint32_t>(header.unit);
  raw.node_size = static_cast<uint32_t>(kNodeSize);
  raw.codec = static_cast<uint16_t>(header.codec);
  raw.level = static_cast<uint16_t>(static_cast<int16_t>(header.level));
  raw.journal_bytes = header.journal_bytes;
  raw.tag = tag_of(ConstBytes(bytes_of(raw)).first(offsetof(HeaderRaw, tag)));
  return raw;
}

bool is_native(ConstBytes head) {
  return head.size() >= kHeaderMagic.size() && std::memcmp(head.data(), kHeaderMagic.data(), kHeaderMagic.size()) == 0;
}

}  // namespace varve::native
