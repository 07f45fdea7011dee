// What a file of the native format refers to, found without believing any birth: every object of either superblock is walked completely.
#ifndef VARVE_TESTS_NATIVE_REACHABLE_H
#define VARVE_TESTS_NATIVE_REACHABLE_H

#include <memory>
#include <string>

#include "base/interval_set.h"
#include "base/unit_set.h"
#include "native/superblock.h"
#include "varve/storage.h"

namespace varve::test {

/// Bytes, the journals included; headers and superblocks are not.
struct Reachable {
  native::Superblocks superblocks;
  IntervalSet current;  ///< from the newer superblock
  IntervalSet either;
};

/// Throws corrupt if something can't be read, or if two different extents share a place.
Reachable reachable(const std::shared_ptr<Storage>& file);

IntervalSet intervals_of(const UnitSet& set);
/// What is in one and not in the other; empty if they are equal.
std::string difference(const IntervalSet& is, const IntervalSet& should_be);

/// What is wrong with the space of a file that was closed after a change, or an empty string: both superblocks lead to the same, births
/// give the same as walking everything does, and the file ends with the last block of it. So what is not used is known to be free.
std::string leaks_of_closed(const std::shared_ptr<Storage>& file);

}  // namespace varve::test

#endif
