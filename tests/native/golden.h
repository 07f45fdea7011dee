// Images of version 1 of the format that later programs must open, kept as text in golden/.
//
//     size 196608
//     refused unsupported                 or, for the disk and each snapshot:
//     sha256 9f86d0... -
//     sha256 60303a... NAME
//     0 1 8956525600...                   offset in the file, how often, 16 bytes in hexadecimal digits; all else is zeros
//
// They were made by golden_maker.cc and never change: a new one gets a new name. `VARVE_GOLDEN_WRITE=1 native_tests
// --test-case='golden files are made'` writes those that are not there.
#ifndef VARVE_TESTS_NATIVE_GOLDEN_H
#define VARVE_TESTS_NATIVE_GOLDEN_H

#include <map>
#include <string>
#include <vector>

#include "io/memory_storage.h"

namespace varve::test {

struct Golden {
  std::vector<std::byte> file;
  std::string refused;                      ///< the error's name; empty if it opens
  std::map<std::string, std::string> sums;  ///< of the contents, by snapshot; "-" is the disk
};

/// By name, which is that of the file without ".txt".
std::map<std::string, Golden> make_goldens();

std::string to_text(const Golden& golden);
Golden from_text(const std::string& text);

/// What the one with a parent lies over: base.raw.
std::vector<std::byte> golden_parent();

}  // namespace varve::test

#endif
