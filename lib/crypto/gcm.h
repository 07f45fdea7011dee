// AES-256-GCM (NIST SP 800-38D), with OpenSSL.
#ifndef VARVE_CRYPTO_GCM_H
#define VARVE_CRYPTO_GCM_H

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "base/pool.h"
#include "varve/storage.h"

namespace varve {

inline constexpr size_t kGcmKeySize = 32;
using GcmNonce = std::array<uint8_t, 12>;
using GcmTag = std::array<uint8_t, 16>;

/// For tests. Is told of each message that is sealed: the nonce, and HMAC-SHA256 of its key, with an empty message.
using GcmWatch = void (*)(const std::array<uint8_t, 32>& key_digest, const GcmNonce& nonce);
/// Of all keys that are made from now on; nullptr ends it. Keys that were made before have a digest of zeros.
void watch_gcm(GcmWatch watch) noexcept;

/// One piece of a message. `in` and `out` have the same length and may be the same place.
struct GcmPiece {
  ConstBytes in;
  MutableBytes out;
};

/// A key, expanded. A nonce must never be used twice with one key: that is for the caller. Thread-safe: each call borrows a context.
class GcmKey {
 public:
  /// `key`: kGcmKeySize bytes, which are not kept. Throws std::bad_alloc; io if OpenSSL fails, as do the calls.
  explicit GcmKey(ConstBytes key);
  ~GcmKey();
  GcmKey(const GcmKey&) = delete;
  GcmKey& operator=(const GcmKey&) = delete;

  /// The pieces are one message, one behind the other.
  GcmTag seal(const GcmNonce& nonce, ConstBytes associated, std::span<const GcmPiece> pieces) const;
  GcmTag seal(const GcmNonce& nonce, ConstBytes associated, ConstBytes in, MutableBytes out) const;
  /// False if the tag is wrong: `out` is wiped then.
  [[nodiscard]] bool open(const GcmNonce& nonce, ConstBytes associated, std::span<const GcmPiece> pieces, const GcmTag& tag) const;
  [[nodiscard]] bool open(const GcmNonce& nonce, ConstBytes associated, ConstBytes in, MutableBytes out, const GcmTag& tag) const;

 private:
  struct Context;
  std::unique_ptr<Context> keyed_;  ///< what the pool's are copies of
  mutable Pool<Context> contexts_;
  std::array<uint8_t, 32> digest_{};  ///< for a watch
};

}  // namespace varve

#endif
