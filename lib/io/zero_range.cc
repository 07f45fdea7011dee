#include "io/zero_range.h"

#include <algorithm>
#include <vector>

namespace varve {

void zero_range(Storage& storage, uint64_t offset, uint64_t length) {
  if (length == 0 || storage.punch_hole(offset, length)) return;
  const std::vector<std::byte> zeros(std::min(length, uint64_t{1} << 20));
  for (uint64_t done = 0; done < length; done += zeros.size())
    storage.write_at(offset + done, ConstBytes(zeros).first(std::min<uint64_t>(zeros.size(), length - done)));
}

}  // namespace varve
