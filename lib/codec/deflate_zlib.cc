#include <zlib.h>

#include <new>

#include "codec/deflate_engines.h"
#include "varve/error.h"

namespace varve {

namespace {

// zlib asks for Bytef* and, for input, may have been built without const.
Bytef* zlib_bytes(const std::byte* data) { return const_cast<Bytef*>(reinterpret_cast<const Bytef*>(data)); }

void point_at(z_stream& stream, ConstBytes in, MutableBytes out) {
  stream.next_in = zlib_bytes(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = zlib_bytes(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
}

class ZlibDeflater final : public Deflater::Engine {
 public:
  explicit ZlibDeflater(int level) {
    if (deflateInit(&stream_, level) != Z_OK) throw std::bad_alloc();
  }
  ZlibDeflater(const ZlibDeflater&) = delete;
  ZlibDeflater& operator=(const ZlibDeflater&) = delete;
  ~ZlibDeflater() override { deflateEnd(&stream_); }

  size_t compress(ConstBytes in, MutableBytes out) override {
    if (out.empty()) return 0;
    deflateReset(&stream_);
    point_at(stream_, in, out);
    if (deflate(&stream_, Z_FINISH) != Z_STREAM_END) return 0;
    return out.size() - stream_.avail_out;
  }

 private:
  z_stream stream_{};
};

class ZlibInflater final : public Inflater::Engine {
 public:
  ZlibInflater() {
    if (inflateInit(&stream_) != Z_OK) throw std::bad_alloc();
  }
  ZlibInflater(const ZlibInflater&) = delete;
  ZlibInflater& operator=(const ZlibInflater&) = delete;
  ~ZlibInflater() override { inflateEnd(&stream_); }

  size_t inflate(ConstBytes in, MutableBytes out, size_t& consumed) override {
    inflateReset(&stream_);
    point_at(stream_, in, out);
    const int result = ::inflate(&stream_, Z_FINISH);
    if (result == Z_MEM_ERROR) throw std::bad_alloc();
    if (result != Z_STREAM_END) throw Error(Errc::corrupt, "compressed data is damaged or larger than it may be");
    consumed = in.size() - stream_.avail_in;
    return out.size() - stream_.avail_out;
  }

 private:
  z_stream stream_{};
};

}  // namespace

std::unique_ptr<Deflater::Engine> make_zlib_deflater(int level) { return std::make_unique<ZlibDeflater>(level); }

std::unique_ptr<Inflater::Engine> make_zlib_inflater() { return std::make_unique<ZlibInflater>(); }

size_t zlib_bound(size_t size) { return compressBound(size); }

}  // namespace varve
