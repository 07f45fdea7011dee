#include "codec/deflate.h"

#include <algorithm>
#include <string>

#include "codec/deflate_engines.h"
#include "varve/error.h"

namespace varve {

namespace {

#ifdef VARVE_HAVE_LIBDEFLATE
constexpr bool kHaveLibdeflate = true;
#else
constexpr bool kHaveLibdeflate = false;
#endif

constexpr size_t kLargest = UINT32_MAX;  // zlib counts in 32 bits

void require(DeflateEngine engine) {
  if (!has_deflate_engine(engine)) throw Error(Errc::unsupported, "this build has no libdeflate").hint("build with -Dlibdeflate=enabled");
}

std::unique_ptr<Deflater::Engine> make_deflater(int level, DeflateEngine engine) {
  if (level < 1 || level > 9) {
    throw Error(Errc::invalid_argument, "deflate has no level " + std::to_string(level)).hint("choose 1 (fast) to 9 (small)");
  }
  require(engine);
  if constexpr (kHaveLibdeflate) {
    if (engine == DeflateEngine::libdeflate) return make_libdeflate_deflater(level);
  }
  return make_zlib_deflater(level);
}

std::unique_ptr<Inflater::Engine> make_inflater(DeflateEngine engine) {
  require(engine);
  if constexpr (kHaveLibdeflate) {
    if (engine == DeflateEngine::libdeflate) return make_libdeflate_inflater();
  }
  return make_zlib_inflater();
}

}  // namespace

bool has_deflate_engine(DeflateEngine engine) { return engine == DeflateEngine::zlib || kHaveLibdeflate; }

DeflateEngine default_deflate_engine() { return kHaveLibdeflate ? DeflateEngine::libdeflate : DeflateEngine::zlib; }

Deflater::Deflater(int level, DeflateEngine engine) : engine_(make_deflater(level, engine)) {}
Deflater::Deflater(Deflater&&) noexcept = default;
Deflater& Deflater::operator=(Deflater&&) noexcept = default;
Deflater::~Deflater() = default;

size_t Deflater::compress(ConstBytes in, MutableBytes out) {
  if (in.size() > kLargest) throw Error(Errc::limit, "more than 4 GiB to compress at once");
  return engine_->compress(in, out.first(std::min(out.size(), kLargest)));
}

size_t Deflater::bound(size_t size) {
  if constexpr (kHaveLibdeflate) return std::max(zlib_bound(size), libdeflate_bound(size));
  return zlib_bound(size);
}

Inflater::Inflater(DeflateEngine engine) : engine_(make_inflater(engine)) {}
Inflater::Inflater(Inflater&&) noexcept = default;
Inflater& Inflater::operator=(Inflater&&) noexcept = default;
Inflater::~Inflater() = default;

size_t Inflater::inflate(ConstBytes in, MutableBytes out, size_t* consumed) {
  std::byte nothing{};  // the libraries want an address even of an empty buffer
  if (in.empty()) in = ConstBytes(&nothing, size_t{0});
  if (out.empty()) out = MutableBytes(&nothing, size_t{0});
  size_t used = 0;
  const size_t size = engine_->inflate(in.first(std::min(in.size(), kLargest)), out.first(std::min(out.size(), kLargest)), used);
  if (consumed != nullptr) *consumed = used;
  return size;
}

}  // namespace varve
