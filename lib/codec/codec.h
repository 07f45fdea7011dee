// What all codecs here have in common.
//
// A codec object holds the library's working memory: expensive to make, reusable for ever, for one thread at a time. All calls are one-shot
// from a whole input into a buffer of bounded size, so a hostile input costs no more memory than the caller gave, and no more time than
// that output takes (rules MEM-11 and RES-8). Damaged input is Errc::corrupt; after it the object is as good as new. Neither input nor
// output exceeds 4 GiB - 1.
//
// Threads that come and go borrow an object from a CodecPool:
//
//     CodecPool<Inflater> pool([] { return std::make_unique<Inflater>(); });
//     const size_t size = pool.borrow()->inflate(in, out);
#ifndef VARVE_CODEC_CODEC_H
#define VARVE_CODEC_CODEC_H

#include "base/pool.h"

namespace varve {

template <typename Codec>
using CodecPool = Pool<Codec>;

}  // namespace varve

#endif
