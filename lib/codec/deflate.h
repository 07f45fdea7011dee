// Deflate in the zlib format [RFC 1950, RFC 1951].
//
// Two engines do the same: libdeflate where it was there at build time, else zlib. Levels are zlib's, as users know them, and stand for
// zlib's sizes: libdeflate's own level is the fastest that keeps a VMDK file within 1 % of zlib's. 7 to 9 ask for size, so they are
// never larger; 9 is as small as zlib's time for it allows.
//
// Measured over 64 KiB blocks, one thread of a busy two-core machine, zlib 1.2.13 and libdeflate 1.14. "usr": every 90th block of
// 1.1 GiB of /usr files, each result padded as a VMDK grain is; "so": every 40th block of /usr/lib/x86_64-linux-gnu/*.so*, not padded.
// Ratios are input over output; MB/s are of input, compressed and (in brackets) decompressed.
//
//     level |  zlib: usr ratio, MB/s    so ratio, MB/s |  libdeflate level: usr ratio, MB/s    so ratio, MB/s |  its size: usr, so
//       1   |  2.161   75 (306)    2.680   75 (249)    |   1   2.200  145 (584)    2.693  158 (581)           |  0.982  0.995
//       2   |  2.192   71 (314)    2.740   75 (273)    |   2   2.246   91 (526)    2.848  112 (582)           |  0.976  0.962
//       3   |  2.213   62 (326)    2.786   53 (254)    |   2   2.246   91 (526)    2.848  112 (582)           |  0.986  0.978
//       4   |  2.249   51 (292)    2.853   49 (262)    |   2   2.246   91 (526)    2.848  112 (582)           |  1.002  1.002
//       5   |  2.277   46 (314)    2.902   41 (281)    |   3   2.260   85 (534)    2.872  100 (586)           |  1.008  1.011
//       6   |  2.288   31 (305)    2.927   25 (258)    |   4   2.268   85 (536)    2.891   87 (549)           |  1.009  1.012
//       7   |  2.292   27 (308)    2.933   20 (259)    |   5   2.292   70 (559)    2.944   68 (566)           |  1.000  0.996
//       8   |  2.296   15 (283)    2.939   12 (261)    |   6   2.304   64 (600)    2.960   62 (598)           |  0.997  0.993
//       9   |  2.297    9 (288)    2.940    8 (258)    |  10   2.345   11 (557)    3.052    9 (514)           |  0.980  0.963
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
