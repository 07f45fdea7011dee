// Extents without a structure of their own: a range of a file, zeros, and what must not be looked at.
#ifndef VARVE_FORMATS_VMDK_FLAT_EXTENT_H
#define VARVE_FORMATS_VMDK_FLAT_EXTENT_H

#include <cstdint>
#include <memory>
#include <string>

#include "vmdk/extent.h"

namespace varve::vmdk {

/// `size` bytes of `file` from `file_offset` on. Throws corrupt if the file is shorter: what is missing was data once [MEM-20].
std::unique_ptr<ExtentDriver> open_flat_extent(std::shared_ptr<Storage> file, uint64_t file_offset, uint64_t size, bool writable);

/// ZERO: reads as zeros, takes zeros, refuses anything else with unsupported.
std::unique_ptr<ExtentDriver> make_zero_extent(uint64_t size);

/// NOACCESS: the disk has these bytes, and nobody may read them (permission).
std::unique_ptr<ExtentDriver> make_no_access_extent(uint64_t size, std::string name);

}  // namespace varve::vmdk

#endif
