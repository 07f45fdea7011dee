#include <libdeflate.h>

#include <array>
#include <new>

#include "codec/deflate_engines.h"
#include "varve/error.h"

namespace varve {

namespace {

// By zlib's level; the measurements are in deflate.h.
constexpr std::array<int, 10> kLibdeflateLevel = {0, 1, 2, 2, 2, 3, 4, 5, 6, 10};

struct Free {
  void operator()(libdeflate_compressor* compressor) const noexcept { libdeflate_free_compressor(compressor); }
  void operator()(libdeflate_decompressor* decompressor) const noexcept { libdeflate_free_decompressor(decompressor); }
};

class LibdeflateDeflater final : public Deflater::Engine {
 public:
  explicit LibdeflateDeflater(int level) : compressor_(libdeflate_alloc_compressor(kLibdeflateLevel.at(static_cast<size_t>(level)))) {
    if (!compressor_) throw std::bad_alloc();
  }

  size_t compress(ConstBytes in, MutableBytes out) override {
    return libdeflate_zlib_compress(compressor_.get(), in.data(), in.size(), out.data(), out.size());
  }

 private:
  std::unique_ptr<libdeflate_compressor, Free> compressor_;
};

class LibdeflateInflater final : public Inflater::Engine {
 public:
  LibdeflateInflater() : decompressor_(libdeflate_alloc_decompressor()) {
    if (!decompressor_) throw std::bad_alloc();
  }

  size_t inflate(ConstBytes in, MutableBytes out, size_t& consumed) override {
    size_t produced = 0;
    const libdeflate_result result =
        libdeflate_zlib_decompress_ex(decompressor_.get(), in.data(), in.size(), out.data(), out.size(), &consumed, &produced);
    if (result != LIBDEFLATE_SUCCESS) throw Error(Errc::corrupt, "compressed data is damaged or larger than it may be");
    return produced;
  }

 private:
  std::unique_ptr<libdeflate_decompressor, Free> decompressor_;
};

}  // namespace

std::unique_ptr<Deflater::Engine> make_libdeflate_deflater(int level) { return std::make_unique<LibdeflateDeflater>(level); }

std::unique_ptr<Inflater::Engine> make_libdeflate_inflater() { return std::make_unique<LibdeflateInflater>(); }

size_t libdeflate_bound(size_t size) { return libdeflate_zlib_compress_bound(nullptr, size); }

}  // namespace varve
