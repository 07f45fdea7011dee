// Where the data of a disk is.
#ifndef VARVE_EXTENT_H
#define VARVE_EXTENT_H

#include <cstdint>
#include <optional>
#include <string_view>

#pragma GCC visibility push(default)
namespace varve {

enum class ExtentKind : uint8_t {
  data,    ///< bytes are stored
  zero,    ///< reads as zeros, and hides a parent
  absent,  ///< stored in no layer: reads as the parent, or as zeros where there is none
};

/// "data", "zero", "absent".
std::string_view extent_kind_name(ExtentKind kind) noexcept;

/// A run of a disk that is of one kind throughout. Runs of an image follow each other without a gap.
struct Extent {
  uint64_t offset = 0;  ///< in the disk, bytes
  uint64_t length = 0;  ///< bytes, never 0
  ExtentKind kind = ExtentKind::absent;
  bool compressed = false;
  uint32_t depth = 0;                                  ///< the layer it comes from: 0 is the image itself, 1 its parent, ...
  std::optional<uint64_t> host_offset = std::nullopt;  ///< of plain data: where the run begins in the layer's file `host_file`
  uint32_t host_file = 0;                              ///< index among the layer's files (ImageInfo::files), where host_offset is set
};

}  // namespace varve
#pragma GCC visibility pop

#endif
