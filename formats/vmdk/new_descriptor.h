// The descriptor of a new image.
#ifndef VARVE_FORMATS_VMDK_NEW_DESCRIPTOR_H
#define VARVE_FORMATS_VMDK_NEW_DESCRIPTOR_H

#include <cstdint>
#include <string>
#include <vector>

#include "base/random.h"
#include "image/driver.h"
#include "vmdk/create_options.h"
#include "vmdk/descriptor.h"

namespace varve::vmdk {

/// What VMware keeps for it, enough for the keys that others add.
inline constexpr uint64_t kDescriptorSectors = 20;

/// As the guest's BIOS is to see the disk; beyond its limits the size alone counts.
struct Geometry {
  uint64_t cylinders = 0;
  uint64_t heads = 0;
  uint64_t sectors = 0;
};
Geometry geometry_of(uint64_t disk_sectors, const std::string& adapter_type);
/// For a disk of another size: as many cylinders as fit, of the heads and sectors that are stored. What is not stored is not added.
void update_geometry(Descriptor& descriptor, uint64_t disk_sectors);

struct ParentReference {
  uint32_t cid = kNoParentCid;
  std::string name;
};

/// "CID 1a2b3c4d", as FormatImage::identity() gives it. Throws invalid_argument for anything else.
uint32_t cid_of_identity(const std::string& identity);
/// Throws unsupported if it is no VMDK, invalid_argument if it has no CID.
ParentReference reference_to(const CreateContext::Parent& parent);

/// The whole text. CID and content ID are drawn from `random`. Throws invalid_argument for names that no descriptor can hold.
Descriptor new_descriptor(const CreatePlan& plan, uint64_t size, const std::vector<ExtentLine>& extents, const ParentReference& parent,
                          RandomSource& random);

}  // namespace varve::vmdk

#endif
