// The images on which the scripts run.
#ifndef VARVE_TESTS_CRASH_VMDK_LAYOUTS_H
#define VARVE_TESTS_CRASH_VMDK_LAYOUTS_H

#include <vector>

#include "crash/crash_run.h"

namespace varve::test {

/// Of each kind, large enough for two grain tables where the grains are small.
std::vector<Layout> vmdk_layouts_to_write();
/// Disks of 999 sectors: the first growth adds a digit to the descriptor. In texts of other programs too, which reserve no room.
std::vector<Layout> vmdk_layouts_to_grow();

}  // namespace varve::test

#endif
