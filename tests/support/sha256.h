// SHA-256 [FIPS 180-4], for sums that stand in files.
#ifndef VARVE_TESTS_SUPPORT_SHA256_H
#define VARVE_TESTS_SUPPORT_SHA256_H

#include <string>

#include "varve/storage.h"

namespace varve::test {

/// In hexadecimal digits.
std::string sha256(ConstBytes bytes);

}  // namespace varve::test

#endif
