// What any storage has to do right, whatever is below it: to be run over one that lies in a file, on a device, or elsewhere.
#ifndef VARVE_TESTS_SUPPORT_STORAGE_WORK_H
#define VARVE_TESTS_SUPPORT_STORAGE_WORK_H

#include <cstdint>
#include <string>
#include <vector>

#include "support/seeds.h"
#include "varve/storage.h"

namespace varve::test {

/// Random reads, writes, zeroes and, unless its size is fixed, resizes of a storage and of its shadow in memory, which has to hold the same
/// at the start. Offsets and lengths are odd and crowd around borders of pages; memory is aligned to pages half of the time. Some transfers
/// are longer than 1 MiB. Returns what is wrong first, or an empty string.
std::string work_against_shadow(Storage& storage, std::vector<std::byte>& shadow, Rng& rng, uint64_t steps);

/// `threads` threads write `rounds` times to ranges of their own, which meet within blocks, and read each back at once. The first `size`
/// bytes of the storage are theirs. Returns what is wrong at first, or an empty string.
std::string work_of_neighbours(Storage& storage, uint64_t size, unsigned threads, unsigned rounds);

}  // namespace varve::test

#endif
