// Secrets by number, so that two programs know the same ones.
#ifndef VARVE_TESTS_NATIVE_NUMBERED_SECRETS_H
#define VARVE_TESTS_NATIVE_NUMBERED_SECRETS_H

#include <cstdint>
#include <map>
#include <sstream>
#include <string>

#include "base/random.h"
#include "support/secrets.h"
#include "varve/key.h"

namespace varve::test {

/// Most are raw keys, for passphrases take long. Number 0 is of no slot.
inline bool is_passphrase(uint64_t number) { return number % 12 == 0; }

inline KeySecret numbered_secret(uint64_t number) {
  if (is_passphrase(number)) return passphrase("passphrase number " + std::to_string(number));
  Secret key(32);
  SeededRandom(number).fill(key.bytes());
  return {SecretKind::raw_key, std::move(key)};
}

inline KeyDerivation weakest_derivation() {
  KeyDerivation how;
  how.log2_n = 15;
  return how;
}

/// Which secret is whose, as "slot:number slot:number".
using NumberedSlots = std::map<unsigned, uint64_t>;

inline std::string text_of(const NumberedSlots& slots) {
  std::ostringstream text;
  for (const auto& [slot, number] : slots) text << slot << ':' << number << ' ';
  return text.str();
}
inline NumberedSlots slots_from(const std::string& text) {
  std::istringstream in(text);
  NumberedSlots slots;
  unsigned slot = 0;
  uint64_t number = 0;
  for (char colon = 0; in >> slot >> colon >> number;) slots[slot] = number;
  return slots;
}

}  // namespace varve::test

#endif
