// Images exchanged with other programs on the host's disk.
#ifndef VARVE_TESTS_INTEROP_EXCHANGE_H
#define VARVE_TESTS_INTEROP_EXCHANGE_H

#include <string>
#include <vector>

#include "support/bytes.h"
#include "support/process.h"
#include "support/seeds.h"
#include "varve/ops.h"

namespace varve::test {

/// Writes `size` bytes of data, zeros and holes as `rng` likes.
void make_raw_file(const std::string& path, uint64_t size, Rng& rng);

void convert_file(const std::string& from, const std::string& from_format, const std::string& to, const std::string& to_format,
                  const OptionMap& options = {});

/// The whole disk as we read it.
std::vector<std::byte> read_disk(const std::string& path, const std::string& format);

}  // namespace varve::test

#endif
