// The root of an image, of which the newer of two counts (docs/formats/varve.md, section 4).
#ifndef VARVE_FORMATS_NATIVE_SUPERBLOCK_H
#define VARVE_FORMATS_NATIVE_SUPERBLOCK_H

#include <cstdint>
#include <optional>
#include <string>

#include "native/cipher.h"
#include "native/header.h"
#include "native/object.h"
#include "varve/storage.h"

namespace varve::native {

struct Superblock {
  uint64_t generation = 0;
  bool clean = false;
  Object head;
  Object catalog;
  uint64_t journal_offset = 0;
  uint64_t journal_length = 0;  ///< 0: there is none
  TagBytes chain{};             ///< what the journal of this generation begins with
  uint64_t end = kFirstExtent;  ///< of used space, bytes
  uint64_t head_parent = 0;     ///< id of a snapshot; 0: none
  uint64_t last_snapshot_id = 0;
  // Of an encrypted image.
  Session session;   ///< that it was written in
  Pointer sessions;  ///< to the table of all
  TagBytes tag{};    ///< of the superblock, and so of the whole state

  PointerRules rules(const Header& header) const { return {header.cluster_size, header.unit, end}; }
};

/// Where the one of this generation lies.
constexpr uint64_t superblock_offset(uint64_t generation) { return kRegions[generation % 2] + kSuperblockInRegion; }

struct Superblocks {
  Superblock current;
  std::optional<Superblock> older;
  /// Why the other slot does not count, if something stands in it: the current one may not be the newest that there was.
  std::string fault;
};

/// Throws corrupt if none counts, if it contradicts itself, or if the file ends before its end of used space; what the host says if one
/// can't be read. `cipher`: of an encrypted image.
Superblocks read_superblocks(Storage& file, const Header& header, const Cipher* cipher = nullptr);
/// Of an encrypted image Cipher::seal() is still to come.
SuperblockRaw encode(const Superblock& superblock, const Header& header);

}  // namespace varve::native

#endif
