// What can be wrong with a descriptor that could be opened all the same.
#ifndef VARVE_FORMATS_VMDK_DESCRIPTOR_CHECK_H
#define VARVE_FORMATS_VMDK_DESCRIPTOR_CHECK_H

#include "varve/check.h"
#include "vmdk/descriptor.h"

namespace varve::vmdk {

/// Faults that other programs stumble over are damage; what is merely unusual is a note.
void check_descriptor(const Descriptor& descriptor, CheckReport& report);

}  // namespace varve::vmdk

#endif
