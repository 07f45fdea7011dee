// Passphrases and keys: memory for them, and where the library gets them from.
#ifndef VARVE_SECRET_H
#define VARVE_SECRET_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "varve/storage.h"

#pragma GCC visibility push(default)
namespace varve {

/// Bytes that are wiped when they are given up, that the host leaves out of core dumps and of a forked child's memory and, as far as the
/// process may lock memory, never writes to swap. Not thread-safe.
class Secret {
 public:
  Secret() noexcept = default;
  explicit Secret(size_t size);  ///< zeros; throws std::bad_alloc
  explicit Secret(ConstBytes bytes);
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  size_t size() const noexcept { return size_; }
  bool empty() const noexcept { return size_ == 0; }
  MutableBytes bytes() noexcept { return {data_, size_}; }
  ConstBytes bytes() const noexcept { return {data_, size_}; }
  /// Fewer bytes: the rest is wiped. `size` is at most size().
  void shorten(size_t size) noexcept;
  Secret copy() const { return Secret(bytes()); }

 private:
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t mapped_ = 0;
};

enum class SecretKind : uint8_t {
  passphrase,  ///< 1 to 1024 bytes, of UTF-8 by convention; stretched by a key derivation function
  raw_key,     ///< 32 random bytes
};

/// What opens a key slot.
struct KeySecret {
  SecretKind kind = SecretKind::passphrase;
  Secret bytes;
};

struct SecretRequest {
  std::string path;      ///< of the image that wants it, which may be another layer than the one that was named
  unsigned attempt = 0;  ///< how many secrets were wrong before for this image
};

/// Called when an encrypted image is opened, until a secret is right; nullopt: there is none, or no further one. Is called in the caller's
/// thread, must not use the image, and what it throws ends the opening.
using SecretProvider = std::function<std::optional<KeySecret>(const SecretRequest&)>;

}  // namespace varve
#pragma GCC visibility pop

#endif
