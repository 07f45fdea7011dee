// The header, of which there are two copies (docs/formats/varve.md, section 3).
#ifndef VARVE_FORMATS_NATIVE_HEADER_H
#define VARVE_FORMATS_NATIVE_HEADER_H

#include <array>
#include <cstdint>
#include <string>

#include "base/uuid.h"
#include "native/pointer.h"
#include "varve/storage.h"

namespace varve::native {

struct Header {
  uint64_t sequence = 1;
  uint64_t compatible = 0;
  bool encrypted = false;
  bool may_be_written = true;  ///< no read-only-compatible feature is unknown
  Uuid image_uuid;
  Uuid crypt_uuid;
  uint64_t cluster_size = 65536;
  uint64_t unit = 4096;
  CodecId codec = CodecId::none;  ///< of what is written
  int level = 0;
  uint64_t journal_bytes = 0;  ///< that one takes once it is needed; 0: none
};

struct Headers {
  Header header;
  HeaderRaw raw{};                    ///< the one that was taken
  std::array<std::string, 2> faults;  ///< why a copy does not count; empty if it does
};

/// Throws corrupt if no copy counts or two of one sequence differ, unsupported for versions and features that are not known.
Headers read_headers(Storage& file);
HeaderRaw encode(const Header& header);

/// Does a file begin as an image does?
bool is_native(ConstBytes head);

}  // namespace varve::native

#endif
