#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "base/random.h"
#include "codec/deflate.h"
#include "codec/zstd.h"
#include "support/test.h"

using namespace varve;  // NOLINT: a test of one namespace

namespace {

using Bytes = std::vector<std::byte>;

/// Those of this build.
std::vector<DeflateEngine> engines() {
  std::vector<DeflateEngine> all = {DeflateEngine::zlib};
  if (has_deflate_engine(DeflateEngine::libdeflate)) all.push_back(DeflateEngine::libdeflate);
  return all;
}

/// Zeros, noise, text-like and mixed blocks of many sizes.
std::vector<Bytes> samples() {
  std::vector<Bytes> all;
  SeededRandom random(6);
  for (const size_t size : {0U, 1U, 2U, 511U, 512U, 4096U, 65535U, 65536U, 131072U}) {
    all.emplace_back(size);
    Bytes noise(size);
    random.fill(noise);
    all.push_back(noise);
    Bytes words(size);
    for (std::byte& b : words) b = static_cast<std::byte>('a' + random.below(random.below(7) + 1));
    all.push_back(words);
    std::copy_n(noise.begin(), size / 2, words.begin());
    all.push_back(words);
  }
  return all;
}

Bytes deflate(ConstBytes in, DeflateEngine engine, int level = 6) {
  Bytes out(Deflater::bound(in.size()));
  const size_t size = Deflater(level, engine).compress(in, out);
  REQUIRE(size > 0);
  out.resize(size);
  return out;
}

}  // namespace

TEST_CASE("each deflate engine reads what each writes") {
  for (const DeflateEngine writer : engines()) {
    for (const Bytes& data : samples()) {
      const Bytes stream = deflate(data, writer);
      for (const DeflateEngine reader : engines()) {
        Bytes back(data.size());
        size_t consumed = 0;
        REQUIRE(Inflater(reader).inflate(stream, back, &consumed) == data.size());
        CHECK(back == data);
        CHECK(consumed == stream.size());
      }
    }
  }
}

TEST_CASE("inflate says how much came out and how much went in") {
  for (const DeflateEngine engine : engines()) {
    Inflater inflater(engine);
    const Bytes data(1000, std::byte{9});
    Bytes stream = deflate(data, engine);
    const size_t size = stream.size();
    stream.resize(size + 300, std::byte{0xee});
    Bytes out(65536);
    size_t consumed = 0;
    CHECK(inflater.inflate(stream, out, &consumed) == 1000);
    CHECK(consumed == size);
    CHECK(inflater.inflate(stream, out) == 1000);
  }
}

TEST_CASE("MEM-11, RES-8: a stream larger than its place is corrupt, and nothing is written behind it") {
  for (const DeflateEngine engine : engines()) {
    Inflater inflater(engine);
    const Bytes stream = deflate(Bytes(1 << 20), engine);
    for (const size_t place : {0U, 1U, 65536U, (1U << 20) - 1}) {
      Bytes out(place + 64, std::byte{0xaa});
      CHECK_ERRC(inflater.inflate(stream, MutableBytes(out).first(place)), Errc::corrupt);
      CHECK(std::all_of(out.end() - 64, out.end(), [](std::byte b) { return b == std::byte{0xaa}; }));
    }
    Bytes out(1 << 20);
    CHECK(inflater.inflate(stream, out) == out.size());
  }
}

TEST_CASE("a deflate stream that is cut short anywhere is corrupt for every engine") {
  const Bytes stream = deflate(samples().at(14), DeflateEngine::zlib);
  for (const DeflateEngine engine : engines()) {
    Inflater inflater(engine);
    Bytes out(65536);
    for (size_t length = 0; length < stream.size(); ++length) {
      REQUIRE_THROWS_AS(inflater.inflate(ConstBytes(stream).first(length), out), Error);
    }
    CHECK(inflater.inflate(stream, out) == 511);
  }
}

TEST_CASE("of a deflate stream with any one bit flipped, the engines say the same") {
  SeededRandom random(7);
  Bytes data(3000);
  for (std::byte& b : data) b = static_cast<std::byte>('a' + random.below(5));
  const Bytes good = deflate(data, DeflateEngine::zlib);
  std::vector<Inflater> inflaters;
  for (const DeflateEngine engine : engines()) inflaters.emplace_back(engine);
  size_t decoded = 0;
  for (size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
    std::vector<Bytes> results;  // empty: corrupt
    for (Inflater& inflater : inflaters) {
      Bytes out(data.size());
      try {
        out.resize(inflater.inflate(bad, out));
      } catch (const Error& e) {
        REQUIRE(e.code() == Errc::corrupt);
        out.clear();
      }
      if (!out.empty()) ++decoded;
      results.push_back(out);
    }
    REQUIRE(std::adjacent_find(results.begin(), results.end(), std::not_equal_to<>()) == results.end());
  }
  CHECK(decoded < good.size() / 10);  // Adler-32 is weak, not useless
}

TEST_CASE("deflate that does not fit says 0, and works the next time") {
  SeededRandom random(8);
  Bytes noise(65536);
  random.fill(noise);
  for (const DeflateEngine engine : engines()) {
    Deflater deflater(6, engine);
    Bytes out(Deflater::bound(noise.size()));
    for (const size_t place : {0U, 1U, 6U, 65536U}) CHECK(deflater.compress(noise, MutableBytes(out).first(place)) == 0);
    CHECK(deflater.compress(noise, out) > noise.size());
    CHECK(deflater.compress({}, out) > 0);
  }
}

TEST_CASE("an engine that is not in this build is unsupported") {
  if (has_deflate_engine(DeflateEngine::libdeflate)) SKIP_TEST("this build has libdeflate");
  CHECK_ERRC(Deflater(6, DeflateEngine::libdeflate), Errc::unsupported);
  CHECK_ERRC(Inflater(DeflateEngine::libdeflate), Errc::unsupported);
}

TEST_CASE("a deflater gives the same output each time, and every level works") {
  const Bytes data = samples().at(samples().size() - 2);
  for (const DeflateEngine engine : engines()) {
    size_t fastest = 0;
    for (int level = 1; level <= 9; ++level) {
      Deflater deflater(level, engine);
      Bytes first(Deflater::bound(data.size()));
      Bytes second(first.size());
      first.resize(deflater.compress(data, first));
      second.resize(deflater.compress(data, second));
      CHECK(first == second);
      CHECK(first == deflate(data, engine, level));
      if (level == 1) fastest = first.size();
      if (level == 9) CHECK(first.size() < fastest);
    }
  }
  for (const int level : {-1, 0, 10, 1000}) CHECK_ERRC(Deflater(level), Errc::invalid_argument);
}

TEST_CASE("libdeflate at a level is no more than 2 % larger than zlib at the same") {
  if (!has_deflate_engine(DeflateEngine::libdeflate)) SKIP_TEST("this build has no libdeflate");
  SeededRandom random(9);
  Bytes data(65536);  // numbers in text: as compressible as programs are
  std::string text;
  while (text.size() < data.size()) text += "field_" + std::to_string(random.below(500)) + " = " + std::to_string(random.u32()) + ";\n";
  std::copy_n(std::as_bytes(std::span(text)).begin(), data.size(), data.begin());
  for (int level = 1; level <= 9; ++level) {
    CAPTURE(level);
    CHECK(deflate(data, DeflateEngine::libdeflate, level).size() * 100 <= deflate(data, DeflateEngine::zlib, level).size() * 102);
  }
}

TEST_CASE("a zstd frame decodes into exactly its bytes, at every level") {
  ZstdDecompressor decompressor;
  for (const int level : {-50, -1, 1, 3, 9, 19, 22}) {
    ZstdCompressor compressor(level);
    for (const Bytes& data : samples()) {
      Bytes frame(ZstdCompressor::bound(data.size()));
      frame.resize(compressor.compress(data, frame));
      REQUIRE(!frame.empty());
      Bytes back(data.size());
      decompressor.decompress(frame, back);
      REQUIRE(back == data);
    }
  }
  for (const int level : {0, -51, 23}) CHECK_ERRC(ZstdCompressor(level), Errc::invalid_argument);
}

TEST_CASE("zstd that does not fit says 0, and works the next time") {
  ZstdCompressor compressor;
  SeededRandom random(10);
  Bytes noise(4096);
  random.fill(noise);
  Bytes out(ZstdCompressor::bound(noise.size()));
  CHECK(compressor.compress(noise, MutableBytes(out).first(4096)) == 0);
  CHECK(compressor.compress(noise, MutableBytes(out).first(0)) == 0);
  CHECK(compressor.compress(noise, out) > 4096);
}

TEST_CASE("RES-8: a zstd frame of another size, cut, damaged or followed by something is corrupt") {
  Bytes frame(ZstdCompressor::bound(4096));
  frame.resize(ZstdCompressor(3).compress(Bytes(4096, std::byte{3}), frame));
  ZstdDecompressor decompressor;
  Bytes out(4096);
  for (const size_t place : {0U, 4095U}) CHECK_ERRC(decompressor.decompress(frame, MutableBytes(out).first(place)), Errc::corrupt);
  Bytes large(4097);
  CHECK_ERRC(decompressor.decompress(frame, large), Errc::corrupt);
  for (size_t length = 0; length < frame.size(); ++length) {
    REQUIRE_THROWS_AS(decompressor.decompress(ConstBytes(frame).first(length), out), Error);
  }
  const size_t size = frame.size();
  frame.resize(size + 5);
  CHECK_ERRC(decompressor.decompress(frame, out), Errc::corrupt);
  size_t consumed = 0;
  decompressor.decompress(frame, out, &consumed);
  CHECK(consumed == size);
  CHECK(out == Bytes(4096, std::byte{3}));
}

TEST_CASE("RES-8: a zstd frame may lack its content size, but not ask for a window larger than its block") {
  // Magic, descriptor without single segment nor content size, window, one RLE block of 16 bytes that is the last.
  const auto frame = [](unsigned window) {
    Bytes bytes;
    for (const unsigned b : {0x28U, 0xb5U, 0x2fU, 0xfdU, 0x00U, window, 0x83U, 0x00U, 0x00U, 0x61U})
      bytes.push_back(static_cast<std::byte>(b));
    return bytes;
  };
  ZstdDecompressor decompressor;
  Bytes out(16);
  decompressor.decompress(frame(0), out);  // 1 KiB, the least that the format knows
  CHECK(out == Bytes(16, std::byte{'a'}));
  CHECK_ERRC(decompressor.decompress(frame(1), out), Errc::corrupt);
  CHECK_ERRC(decompressor.decompress(frame(17 << 3), out), Errc::corrupt);  // 128 MiB
  Bytes larger(17);
  CHECK_ERRC(decompressor.decompress(frame(0), larger), Errc::corrupt);
}

TEST_CASE("a codec pool lends one object to one borrower") {
  CodecPool<Inflater> pool([] { return std::make_unique<Inflater>(); });
  Inflater* first = nullptr;
  {
    const auto a = pool.borrow();
    const auto b = pool.borrow();
    first = &*b;
    CHECK(&*a != first);
  }
  CHECK(pool.idle() == 2);
}
