// A zlib stream of any bytes: both engines agree on what it is, and what they compress comes back.
#include "codec/deflate.h"

#include <algorithm>
#include <vector>

#include "data_producer.h"
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "deflate";

namespace {

struct Inflated {
  int code = 0;
  size_t consumed = 0;
  std::vector<std::byte> bytes;
};

Inflated inflate(DeflateEngine engine, ConstBytes in, size_t room) {
  Inflated result;
  result.bytes.resize(room);
  result.code = only_errors([&] {
    Inflater inflater(engine);
    result.bytes.resize(inflater.inflate(in, result.bytes, &result.consumed));
  });
  return result;
}

void round_trip(DeflateEngine engine, int level, ConstBytes in) {
  std::vector<std::byte> packed(Deflater::bound(in.size()));
  Deflater deflater(level, engine);
  packed.resize(deflater.compress(in, packed));
  require(!packed.empty(), "a stream that does not fit in its bound");
  for (const DeflateEngine reader : {DeflateEngine::zlib, DeflateEngine::libdeflate}) {
    if (!has_deflate_engine(reader)) continue;
    const Inflated back = inflate(reader, packed, in.size());
    require(back.code == 0 && back.consumed == packed.size() && std::equal(in.begin(), in.end(), back.bytes.begin(), back.bytes.end()),
            "what was compressed does not come back");
  }
}

}  // namespace

void run(std::span<const uint8_t> input) {
  DataProducer numbers(input);
  const size_t room = static_cast<size_t>(numbers.between(0, 100000));
  const int level = static_cast<int>(numbers.between(1, 9));
  const ConstBytes in = numbers.rest();
  const Inflated by_zlib = inflate(DeflateEngine::zlib, in, room);
  if (has_deflate_engine(DeflateEngine::libdeflate)) {
    const Inflated by_libdeflate = inflate(DeflateEngine::libdeflate, in, room);
    require(by_zlib.code == by_libdeflate.code, "one engine takes what the other refuses");
    if (by_zlib.code == 0)
      require(by_zlib.bytes == by_libdeflate.bytes && by_zlib.consumed == by_libdeflate.consumed, "the engines read different bytes");
    round_trip(DeflateEngine::libdeflate, level, in);
  }
  round_trip(DeflateEngine::zlib, level, in);
}

}  // namespace varve::fuzz
