#include "native/tag.h"

#include <xxhash.h>

#include <cstring>
#include <memory>

namespace varve::native {
namespace {

TagBytes canonical(XXH128_hash_t hash) {
  XXH128_canonical_t bytes;
  XXH128_canonicalFromHash(&bytes, hash);
  TagBytes tag;
  static_assert(sizeof(bytes) == sizeof(tag));
  std::memcpy(tag.data(), &bytes, sizeof(tag));
  return tag;
}

}  // namespace

TagBytes tag_of(ConstBytes bytes) { return canonical(XXH3_128bits(bytes.data(), bytes.size())); }

uint64_t sum_of(ConstBytes bytes) { return XXH3_64bits(bytes.data(), bytes.size()); }

TagBytes tag_of(ConstBytes first, ConstBytes second) {
  const std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)> state(XXH3_createState(), XXH3_freeState);
  if (state == nullptr) throw std::bad_alloc();
  XXH3_128bits_reset(state.get());
  XXH3_128bits_update(state.get(), first.data(), first.size());
  XXH3_128bits_update(state.get(), second.data(), second.size());
  return canonical(XXH3_128bits_digest(state.get()));
}

}  // namespace varve::native
