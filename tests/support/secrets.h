// The key of every encrypted image that tests make, unless they are about keys.
#ifndef VARVE_TESTS_SUPPORT_SECRETS_H
#define VARVE_TESTS_SUPPORT_SECRETS_H

#include <array>
#include <memory>
#include <optional>
#include <string>

#include "varve/secret.h"

namespace varve::test {

inline KeySecret raw_key(uint8_t first = 1) {
  std::array<uint8_t, 32> bytes{};
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(first + 7 * i);
  return {SecretKind::raw_key, Secret(std::as_bytes(std::span(bytes)))};
}

inline KeySecret passphrase(const std::string& text) { return {SecretKind::passphrase, Secret(std::as_bytes(std::span(text)))}; }

/// Always the same one.
inline SecretProvider provider_of(const KeySecret& secret) {
  const auto kept = std::make_shared<const KeySecret>(KeySecret{secret.kind, secret.bytes.copy()});
  return [kept](const SecretRequest& request) -> std::optional<KeySecret> {
    if (request.attempt != 0) return std::nullopt;
    return KeySecret{kept->kind, kept->bytes.copy()};
  };
}

inline SecretProvider test_key() { return provider_of(raw_key()); }

}  // namespace varve::test

#endif
