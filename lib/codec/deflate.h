// Deflate in the zlib format [RFC 1950, RFC 1951].
//
// Two engines do the same: libdeflate where it was there at build time, else zlib. Levels are zlib's, as users know them: a level
// promises about zlib's size, and libdeflate's own level is the fastest that keeps it (within 1 %); 7 to 9 ask for size, so they get no
// more than zlib's. Measured over 64 KiB blocks, one thread of a busy two-core machine (zlib 1.2.13, libdeflate 1.14). "so": every 40th
// block of /usr/lib/x86_64-linux-gnu/*.so*; "usr": every 60th block of 1.1 GiB of /usr files, each result padded as a VMDK grain is.
//
//     level  zlib: so ratio  MB/s  usr ratio  MB/s  inflate |  libdeflate: so ratio  MB/s  usr ratio  MB/s  inflate | size so / usr
//     1            2.680     75                       249  |  1            2.693    158   2.242     169      581  |  0.995 /
//     2            2.740     75                       273  |  2            2.848    112   2.291     115      582  |  0.962 /
//     3            2.786     53                       254  |  2                                                  |  0.978 /
//     4            2.853     49    2.294       49     262  |  2                                                  |  1.002 / 1.001
//     5            2.902     41    2.322       44     281  |  3            2.872    100   2.305     102      586  |  1.011 / 1.007
//     6            2.927     25    2.335       35     258  |  4            2.891     87   2.315     104      549  |  1.012 / 1.008
//     7            2.933     20                       259  |  5            2.944     68   2.339      92      566  |  0.996 /
//     8            2.939     12                       261  |  6            2.960     62   2.349      75      598  |  0.993 /
//     9            2.940      8                       258  | 10            3.052      9                      514  |  0.963 /
#ifndef VARVE_CODEC_DEFLATE_H
#define VARVE_CODEC_DEFLATE_H

#include <memory>

#include "codec/codec.h"
#include "varve/storage.h"

namespace varve {

enum class DeflateEngine { zlib, libdeflate };

/// Was it there at build time? zlib always was.
bool has_deflate_engine(DeflateEngine engine);
/// The fastest there is.
DeflateEngine default_deflate_engine();

/// Compresses. For one thread at a time. The output is the same for the same input, level and engine.
class Deflater {
 public:
  /// level: 1 (fast) to 9 (small), else invalid_argument. An engine that is not there is unsupported.
  explicit Deflater(int level = 6, DeflateEngine engine = default_deflate_engine());
  Deflater(Deflater&&) noexcept;
  Deflater& operator=(Deflater&&) noexcept;
  ~Deflater();

  /// Writes one zlib stream and returns its size, or 0 if it does not fit in `out`.
  size_t compress(ConstBytes in, MutableBytes out);

  /// What the result of `size` bytes always fits in, whatever the engine.
  static size_t bound(size_t size);

  class Engine;

 private:
  std::unique_ptr<Engine> engine_;
};

/// Decompresses. For one thread at a time.
class Inflater {
 public:
  explicit Inflater(DeflateEngine engine = default_deflate_engine());
  Inflater(Inflater&&) noexcept;
  Inflater& operator=(Inflater&&) noexcept;
  ~Inflater();

  /// Reads one zlib stream from the start of `in` and returns how many bytes it produced: `out` need not be filled. Bytes after the
  /// stream are not an error; `consumed`, if given, says where it ended. corrupt if the stream is damaged, cut short, of the wrong
  /// checksum, or larger than `out`; what `out` holds then is undefined.
  size_t inflate(ConstBytes in, MutableBytes out, size_t* consumed = nullptr);

  class Engine;

 private:
  std::unique_ptr<Engine> engine_;
};

}  // namespace varve

#endif
