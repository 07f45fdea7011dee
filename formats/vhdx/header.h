// The two copies of the header, of which at any time one is whole [MS-VHDX 2.2.2].
#ifndef VARVE_FORMATS_VHDX_HEADER_H
#define VARVE_FORMATS_VHDX_HEADER_H

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "varve/storage.h"
#include "vhdx/structures.h"

namespace varve::vhdx {

struct Header {
  uint64_t sequence = 0;
  Uuid file_write_guid;
  Uuid data_write_guid;
  Uuid log_guid;  ///< nil: the log holds nothing
  uint64_t log_offset = 0;
  uint64_t log_length = 0;

  bool operator==(const Header&) const = default;
};

/// The fault of a copy that is the host's and not the image's.
inline constexpr const char* kUnreadable = "it can't be read";

/// What stands in one of the two places.
struct HeaderCopy {
  std::optional<Header> header;
  std::string fault;  ///< why there is none
};

struct Headers {
  std::array<HeaderCopy, 2> copies;
  size_t current = 0;  ///< index of the one that counts

  const Header& header() const { return *copies[current].header; }
};

/// Both copies. Throws corrupt if neither is whole, or io if one of them can't be read besides; corrupt if both claim to be the current
/// one, or where the log can't be; unsupported if the version is unknown.
Headers read_headers(Storage& file);

/// The bytes of a header, checksum included.
HeaderRaw encode(const Header& header);

/// How many numbers replace_older_header() and then replace_header() take.
inline constexpr uint64_t kUpdatesInTwoSteps = 3;

/// Throws limit if so many sequence numbers are not left [MEM-22].
void require_replaceable(const Headers& headers, uint64_t updates);

/// Replaces the header: a copy with the next sequence number over the older one, made durable, then the same over the other. A cut
/// leaves the old or the new one. `header.sequence` is ignored. Throws as require_replaceable() does, before anything is written.
void replace_header(Storage& file, Headers& headers, Header header);

/// The first half of it: one copy says so. For what must be said before something else is written, and is said again afterwards.
void replace_older_header(Storage& file, Headers& headers, Header header);

/// Does `bytes` begin as a VHDX does?
bool is_vhdx(ConstBytes bytes);

}  // namespace varve::vhdx

#endif
