#include "native/pointer.h"

#include <string>

#include "base/checked_math.h"
#include "varve/error.h"

namespace varve::native {
namespace {

constexpr unsigned kAddressBits = 48;
constexpr unsigned kKindShift = 48;
constexpr unsigned kLevelShift = 51;
constexpr unsigned kCodecShift = 55;
constexpr unsigned kSkipShift = 59;
constexpr uint64_t kLow48 = (uint64_t{1} << kAddressBits) - 1;
constexpr unsigned kZeroKind = 1;
constexpr unsigned kDataKind = 2;
constexpr unsigned kNodeKind = 3;

[[noreturn]] void bad(const char* what) { throw Error(Errc::corrupt, std::string("a pointer ") + what); }

/// Of data and nodes.
void check_extent(const Pointer& p, const PointerRules& rules) {
  if (p.offset < kFirstExtent || !range_fits(p.offset, p.length, rules.end)) bad("leads outside the used space");
  if (p.kind == Kind::node) {
    if (p.codec != CodecId::none || p.length != kNodeSize || p.offset % kBlock != 0) bad("to a node does not lead to a whole one");
    return;
  }
  const bool part = p.length % rules.granule == 0 && range_fits(p.skip * rules.granule, p.length, rules.cluster_size);
  const bool fits = p.codec == CodecId::none ? part : p.length < rules.cluster_size;
  if (p.length == 0 || !fits) bad("to a cluster has a length that no cluster has");
}

}  // namespace

Pointer zero_pointer(uint64_t birth, unsigned level) {
  Pointer p;
  p.kind = Kind::zero;
  p.level = static_cast<uint8_t>(level);
  p.birth = birth;
  return p;
}

Pointer parse_pointer(const PointerRaw& raw, const PointerRules& rules, unsigned level, uint64_t newest_birth) {
  const uint64_t place = raw.place;
  const uint64_t kind = raw.kind;
  Pointer p;
  if (place == 0 && kind == 0 && raw.tag == TagBytes{}) return p;
  p.birth = kind & kLow48;
  p.level = static_cast<uint8_t>(kind >> kLevelShift & 0xf);
  p.offset = (place & kLow48) * rules.unit;
  p.length = (place >> kAddressBits) * rules.unit;
  p.tag = raw.tag;
  const unsigned codec = static_cast<unsigned>(kind >> kCodecShift & 0xf);
  if (p.level != level) bad("has another level than its place");
  if (p.birth == 0 || p.birth > newest_birth) bad("was born after what holds it");
  if (codec > static_cast<unsigned>(CodecId::zstd)) throw Error(Errc::unsupported, "a codec that is not known: " + std::to_string(codec));
  p.codec = static_cast<CodecId>(codec);
  p.skip = static_cast<uint8_t>(kind >> kSkipShift);
  if (p.skip != 0 && ((kind >> kKindShift & 7) != kDataKind || p.codec != CodecId::none)) bad("leaves out what it can't");
  switch (kind >> kKindShift & 7) {
    case kZeroKind:
      if (place != 0 || codec != 0 || p.tag != TagBytes{}) bad("to zeros leads somewhere");
      p.kind = Kind::zero;
      return p;
    case kDataKind:
      if (level != 0) bad("to a cluster stands above the lowest level");
      p.kind = Kind::data;
      break;
    case kNodeKind:
      if (level == 0) bad("to a node stands at the lowest level");
      p.kind = Kind::node;
      break;
    default: bad("is of a kind that does not exist");
  }
  check_extent(p, rules);
  return p;
}

PointerRaw encode(const Pointer& p, uint64_t unit) {
  PointerRaw raw{};
  if (p.kind == Kind::absent) return raw;
  raw.place = p.offset / unit | (p.length / unit) << kAddressBits;
  raw.kind = p.birth | uint64_t{static_cast<uint8_t>(p.kind)} << kKindShift | uint64_t{p.level} << kLevelShift |
             uint64_t{static_cast<uint8_t>(p.codec)} << kCodecShift | uint64_t{p.skip} << kSkipShift;
  raw.tag = p.tag;
  return raw;
}

}  // namespace varve::native
