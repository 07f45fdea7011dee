// What tells whether stored bytes are the ones that were written (docs/formats/varve.md, sections 1 and 5).
#ifndef VARVE_FORMATS_NATIVE_TAG_H
#define VARVE_FORMATS_NATIVE_TAG_H

#include "native/structures.h"
#include "varve/storage.h"

namespace varve::native {

/// XXH3-128, canonical. Not secret: it finds damage, not malice.
TagBytes tag_of(ConstBytes bytes);
/// Of two pieces, one behind the other.
TagBytes tag_of(ConstBytes first, ConstBytes second);
/// XXH3-64, for what is only kept in memory.
uint64_t sum_of(ConstBytes bytes);

}  // namespace varve::native

#endif
