// A format small enough to be seen through, for the tests of the core: blocks of 4 KiB that are absent, zero or data, and a parent.
//
//     0     "TOYFMT01", size (le64), own identity (16 bytes), parent's identity (16), parent's name (64); the texts are padded with zeros
//     4096  one state byte a block: 0 absent, 1 zero, 2 data; 1 MiB of them
//     1 MiB + 4096   the blocks, each at its place
#ifndef VARVE_TESTS_UNIT_TOY_FORMAT_H
#define VARVE_TESTS_UNIT_TOY_FORMAT_H

#include "image/driver.h"

namespace varve::test {

inline constexpr uint64_t kToyBlock = 4096;

/// Create options: identity (text), references (text: comma-free name that open() asks the context for).
const FormatDriver& toy_driver();

/// Matches whatever toy_driver() with option twin=on wrote, too: for ambiguity.
const FormatDriver& twin_driver();

/// Any bytes; the fallback of detection.
const FormatDriver& any_driver();

}  // namespace varve::test

#endif
