// A Zstandard frame of any bytes: it decodes into exactly the room given or is refused, with bounded memory; what is compressed comes back.
#include "codec/zstd.h"

#include <algorithm>
#include <vector>

#include "data_producer.h"
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "zstd";

void run(std::span<const uint8_t> input) {
  DataProducer numbers(input);
  const size_t room = static_cast<size_t>(numbers.between(0, 100000));
  const int level = static_cast<int>(numbers.between(1, 12));
  const bool tail_allowed = numbers.boolean();
  const ConstBytes in = numbers.rest();
  ZstdDecompressor decompressor;
  std::vector<std::byte> out(room);
  size_t consumed = 0;
  const int code = only_errors([&] { decompressor.decompress(in, out, tail_allowed ? &consumed : nullptr); });
  require(code == 0 || structural(code), "bad input is corrupt and nothing else");
  require(code != 0 || consumed <= in.size(), "more consumed than there was");

  ZstdCompressor compressor(level);
  std::vector<std::byte> packed(ZstdCompressor::bound(in.size()));
  packed.resize(compressor.compress(in, packed));
  require(!packed.empty(), "a frame that does not fit in its bound");
  std::vector<std::byte> back(in.size());
  require(only_errors([&] { decompressor.decompress(packed, back); }) == 0, "what was compressed is refused after a failure");
  require(std::equal(in.begin(), in.end(), back.begin(), back.end()), "what was compressed does not come back");
}

}  // namespace varve::fuzz
