// Between deflate.cc and the libraries it stands on. Private to lib/codec.
#ifndef VARVE_CODEC_DEFLATE_ENGINES_H
#define VARVE_CODEC_DEFLATE_ENGINES_H

#include "codec/deflate.h"

namespace varve {

class Deflater::Engine {
 public:
  virtual ~Engine() = default;
  virtual size_t compress(ConstBytes in, MutableBytes out) = 0;
};

class Inflater::Engine {
 public:
  virtual ~Engine() = default;
  /// Sets `consumed`. Throws corrupt.
  virtual size_t inflate(ConstBytes in, MutableBytes out, size_t& consumed) = 0;
};

std::unique_ptr<Deflater::Engine> make_zlib_deflater(int level);
std::unique_ptr<Inflater::Engine> make_zlib_inflater();
size_t zlib_bound(size_t size);

/// Only defined where libdeflate is.
std::unique_ptr<Deflater::Engine> make_libdeflate_deflater(int level);
std::unique_ptr<Inflater::Engine> make_libdeflate_inflater();
size_t libdeflate_bound(size_t size);

}  // namespace varve

#endif
