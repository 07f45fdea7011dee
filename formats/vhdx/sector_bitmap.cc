#include "vhdx/sector_bitmap.h"

#include <algorithm>

namespace varve::vhdx {
namespace {

constexpr uint64_t kSectorsPerPage = kPageSize * 8;

bool test(const Page& page, uint64_t bit) { return (std::to_integer<unsigned>(page[bit / 8]) >> (bit % 8) & 1U) != 0; }

}  // namespace

SectorBitmap::Run SectorBitmap::run_at(uint64_t first, uint64_t most) const {
  const uint64_t bit = first % kSectorsPerPage;
  const PagePtr page = pages_.page(offset_ + first / kSectorsPerPage * kPageSize);
  const uint64_t end = std::min(bit + most, kSectorsPerPage);
  const bool present = test(*page, bit);
  const std::byte whole = present ? std::byte{0xff} : std::byte{0};
  uint64_t next = bit + 1;
  while (next < end) {
    if (next % 8 == 0 && (*page)[next / 8] == whole) {
      next += 8;
    } else if (test(*page, next) == present) {
      ++next;
    } else {
      break;
    }
  }
  return {present, std::min(next, end) - bit};
}

void SectorBitmap::fill(uint64_t first, uint64_t count, bool present) {
  while (count > 0) {
    const uint64_t bit = first % kSectorsPerPage;
    const uint64_t here = std::min(count, kSectorsPerPage - bit);
    pages_.update(offset_ + first / kSectorsPerPage * kPageSize, [&](Page& page) {
      bool changed = false;
      for (uint64_t i = bit; i < bit + here; ++i) {
        if (test(page, i) == present) continue;
        page[i / 8] ^= std::byte{1} << (i % 8);
        changed = true;
      }
      return changed;
    });
    first += here;
    count -= here;
  }
}

}  // namespace varve::vhdx
