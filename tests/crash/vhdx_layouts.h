// The VHDX images on which the scripts run.
#ifndef VARVE_TESTS_CRASH_VHDX_LAYOUTS_H
#define VARVE_TESTS_CRASH_VHDX_LAYOUTS_H

#include <vector>

#include "crash/crash_run.h"

namespace varve::test {

/// Of each kind, of three blocks, the last one cut.
std::vector<Layout> vhdx_layouts_to_write();
/// Disks that end within a block; children of longer parents, whose data growth must hide.
std::vector<Layout> vhdx_layouts_to_grow();
/// Disks of 124 and 128 GiB of which the first three blocks are looked at, whose table fills its region: growth moves it.
std::vector<Layout> vhdx_layouts_with_full_tables();
/// Each copy of header and region table torn in turn.
std::vector<Layout> vhdx_layouts_to_repair();

}  // namespace varve::test

#endif
