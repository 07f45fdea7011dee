// Zstandard frames [RFC 8878]: one frame a call, with its content size, without a dictionary.
#ifndef VARVE_CODEC_ZSTD_H
#define VARVE_CODEC_ZSTD_H

#include <memory>

#include "codec/codec.h"
#include "varve/storage.h"

extern "C" {
struct ZSTD_CCtx_s;
struct ZSTD_DCtx_s;
}

namespace varve {

/// For one thread at a time.
class ZstdCompressor {
 public:
  /// level: 1 to 22, or negative ones for speed down to -50; else invalid_argument.
  explicit ZstdCompressor(int level = 3);

  /// Writes one frame and returns its size, or 0 if it does not fit in `out`.
  size_t compress(ConstBytes in, MutableBytes out);

  /// What the result of `size` bytes always fits in.
  static size_t bound(size_t size);

 private:
  struct Free {
    void operator()(ZSTD_CCtx_s* context) const noexcept;
  };
  std::unique_ptr<ZSTD_CCtx_s, Free> context_;
};

/// For one thread at a time.
class ZstdDecompressor {
 public:
  ZstdDecompressor();

  /// Reads one frame into exactly `out`. corrupt if the frame is damaged, needs a dictionary or a window larger than `out` (1 KiB at
  /// least), names another content size (it may name none), or yields another number of bytes. Bytes after the frame are corrupt, too,
  /// unless `consumed` is given, which then says where it ended.
  void decompress(ConstBytes in, MutableBytes out, size_t* consumed = nullptr);

 private:
  struct Free {
    void operator()(ZSTD_DCtx_s* context) const noexcept;
  };
  std::unique_ptr<ZSTD_DCtx_s, Free> context_;
};

}  // namespace varve

#endif
