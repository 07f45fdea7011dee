#include "codec/zstd.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <new>
#include <string>

#include "base/endian.h"
#include "varve/error.h"

namespace varve {

namespace {

constexpr int kFastest = -50;

Error damaged(const std::string& why) { return Error(Errc::corrupt, "compressed data is damaged: " + why); }

// The memory that the frame asks a streaming decoder to keep [RFC 8878 3.1.1.1]. Decoding in one go needs none of it, but others
// who read the same data do, so a writer may not ask for more than the block has.
uint64_t window_size(ConstBytes frame) {
  const auto descriptor = std::to_integer<unsigned>(frame[4]);
  if ((descriptor & 0x20) != 0) return 0;  // single segment: the content is the window
  if (frame.size() < 6) throw damaged("its header is cut short");
  const auto window = std::to_integer<unsigned>(frame[5]);
  const uint64_t base = uint64_t{1} << (10 + (window >> 3));
  return base + base / 8 * (window & 7);
}

void check_header(ConstBytes frame, size_t expected) {
  if (frame.size() < 5 || load<le32>(frame) != ZSTD_MAGICNUMBER) throw damaged("it is no zstd frame");
  const unsigned long long content = ZSTD_getFrameContentSize(frame.data(), frame.size());
  if (content == ZSTD_CONTENTSIZE_ERROR) throw damaged("its header is cut short");
  if (content != ZSTD_CONTENTSIZE_UNKNOWN && content != expected) {
    throw damaged("it names " + std::to_string(content) + " bytes where " + std::to_string(expected) + " belong");
  }
  if (window_size(frame) > std::max<uint64_t>(expected, 1024)) throw damaged("its window is larger than its block");
}

}  // namespace

void ZstdCompressor::Free::operator()(ZSTD_CCtx_s* context) const noexcept { ZSTD_freeCCtx(context); }

void ZstdDecompressor::Free::operator()(ZSTD_DCtx_s* context) const noexcept { ZSTD_freeDCtx(context); }

ZstdCompressor::ZstdCompressor(int level) : context_(ZSTD_createCCtx()) {
  if (level == 0 || level < kFastest || level > ZSTD_maxCLevel()) {
    throw Error(Errc::invalid_argument, "zstd has no level " + std::to_string(level))
        .hint("choose 1 (fast) to 22 (small), or -1 to -50 (faster)");
  }
  if (!context_) throw std::bad_alloc();
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_compressionLevel, level);
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_contentSizeFlag, 1);
  ZSTD_CCtx_setParameter(context_.get(), ZSTD_c_dictIDFlag, 0);
}

size_t ZstdCompressor::compress(ConstBytes in, MutableBytes out) {
  const size_t size = ZSTD_compress2(context_.get(), out.data(), out.size(), in.data(), in.size());
  if (!ZSTD_isError(size)) return size;
  if (ZSTD_getErrorCode(size) == ZSTD_error_dstSize_tooSmall) return 0;
  throw std::bad_alloc();  // nothing else can fail here
}

size_t ZstdCompressor::bound(size_t size) { return ZSTD_compressBound(size); }

ZstdDecompressor::ZstdDecompressor() : context_(ZSTD_createDCtx()) {
  if (!context_) throw std::bad_alloc();
}

void ZstdDecompressor::decompress(ConstBytes in, MutableBytes out, size_t* consumed) {
  check_header(in, out.size());
  const size_t frame = ZSTD_findFrameCompressedSize(in.data(), in.size());
  if (ZSTD_isError(frame) || frame > in.size()) throw damaged("it is cut short");
  if (consumed == nullptr && frame != in.size()) throw damaged("something follows it");
  const size_t size = ZSTD_decompressDCtx(context_.get(), out.data(), out.size(), in.data(), frame);
  if (ZSTD_isError(size)) throw damaged(ZSTD_getErrorName(size));
  if (size != out.size()) throw damaged("it yields " + std::to_string(size) + " bytes where " + std::to_string(out.size()) + " belong");
  if (consumed != nullptr) *consumed = frame;
}

}  // namespace varve
