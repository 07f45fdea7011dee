// Keys from secrets, and tags of messages, with OpenSSL.
#ifndef VARVE_CRYPTO_KDF_H
#define VARVE_CRYPTO_KDF_H

#include <array>
#include <cstdint>

#include "varve/secret.h"
#include "varve/storage.h"

namespace varve {

// All throw io if OpenSSL fails, std::bad_alloc for want of memory. Thread-safe.

/// HKDF with SHA-256 (RFC 5869): extract and expand. `size`: 1 to 8160 bytes.
Secret hkdf_sha256(ConstBytes key, ConstBytes salt, ConstBytes info, size_t size);

/// RFC 7914. Takes 128 x 2^log2_n x r bytes; the caller has bounded that.
Secret scrypt(ConstBytes passphrase, ConstBytes salt, uint32_t log2_n, uint32_t r, uint32_t p, size_t size);

/// PBKDF2 with HMAC-SHA256 (RFC 8018).
Secret pbkdf2_sha256(ConstBytes passphrase, ConstBytes salt, uint64_t iterations, size_t size);

/// HMAC-SHA256 (RFC 2104).
std::array<uint8_t, 32> hmac_sha256(ConstBytes key, ConstBytes message);

/// In a time that does not depend on where they differ.
[[nodiscard]] bool equal_in_constant_time(ConstBytes a, ConstBytes b) noexcept;

/// Not optimized away.
void wipe(MutableBytes bytes) noexcept;

}  // namespace varve

#endif
