// Key slots of encrypted images.
#ifndef VARVE_KEY_H
#define VARVE_KEY_H

#include <cstdint>
#include <functional>
#include <vector>

#include "varve/progress.h"
#include "varve/secret.h"

#pragma GCC visibility push(default)
namespace varve {

enum class KdfKind : uint8_t {
  scrypt,  ///< RFC 7914: costs memory, too
  pbkdf2,  ///< RFC 8018 with HMAC-SHA256
  none,    ///< of raw keys
};

/// How a slot's key is derived from its secret. Of raw keys nothing of it counts. Weaker ones than scrypt with N = 2^15 (r = 8, p = 1) or
/// 600,000 iterations are refused when a slot is made, stronger ones than Limits allow when it is opened.
struct KeyDerivation {
  KdfKind kind = KdfKind::scrypt;
  uint32_t log2_n = 17;  ///< scrypt: N = 2^log2_n; 128 x N x r bytes of memory
  uint32_t r = 8;
  uint32_t p = 1;
  uint64_t iterations = 1000000;  ///< PBKDF2
};

struct KeySlotInfo {
  unsigned slot = 0;    ///< 0 to 15
  KeyDerivation how;    ///< kind is none for a raw key
  bool opened = false;  ///< its secret has opened this image
};

struct RotateOptions {
  /// Secrets, besides the one that opened the image, whose slots are kept.
  std::vector<KeySecret> also = {};
  /// The user's word that all other slots go. Without it they are named by an error, and nothing happens.
  bool drop_others = false;
  ProgressFn progress = {};
  const CancelToken* cancel = nullptr;
};

}  // namespace varve
#pragma GCC visibility pop

#endif
