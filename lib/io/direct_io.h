// The way to a file past the host's page cache.
#ifndef VARVE_IO_DIRECT_IO_H
#define VARVE_IO_DIRECT_IO_H

#include <cstddef>
#include <cstdint>
#include <string>

#include "base/aligned_buffer.h"
#include "base/range_claims.h"
#include "io/unique_fd.h"
#include "varve/storage.h"

namespace varve {

/// The file that `fd` has open, opened once more with the same access; `flags` are added. Empty, and errno says why, where that is not
/// possible: there is no /proc, the permissions of the file forbid it by now, or its file system does not know the flags.
UniqueFd reopen(int fd, int flags);

/// A second descriptor of a file, with O_DIRECT, for the whole blocks of a request. The parts of blocks at both ends are for the first
/// descriptor, through the page cache. A call here writes out what the cache holds of its range and, if it writes, drops it, so each
/// descriptor sees what the other has done before. Thread-safe.
class DirectIo {
 public:
  /// `fd` is that of a regular file or, if `device_sector` is not 0, of a block device with sectors of so many bytes; it is used during
  /// this call only. Throws unsupported, in the name of `name`, if the file system has no direct I/O or the file can't be opened again.
  DirectIo(int fd, std::string name, uint32_t device_sector);

  /// Of a request: so many bytes at its begin are part of a block, and so many after those are whole blocks.
  struct Cut {
    size_t head = 0;
    size_t middle = 0;
  };
  Cut cut(uint64_t offset, size_t length) const;

  /// Keeps other writes away from the blocks (and pages) that a write will touch, while the claim lives. A part of a block is written by
  /// changing a page of the cache, and what another write puts under that page meanwhile would be undone. File systems order the two
  /// themselves, block devices don't.
  RangeClaims::Claim claim(uint64_t offset, size_t length);

  /// Moves whole blocks. Returns how many bytes it moved from the start of the range: less than all where the file ends, or where the
  /// kernel does not take the request (EINVAL). The rest is for the page cache. Throws what the host says otherwise.
  size_t read(uint64_t offset, MutableBytes out);
  size_t write(uint64_t offset, ConstBytes data);

 private:
  // Constant after construction.
  const std::string name_;
  const uint64_t block_;  ///< bytes: what offsets, lengths and memory are multiples of
  const uint64_t claim_;  ///< bytes, a multiple of block_
  UniqueFd fd_;

  BufferPool pool_;  ///< for memory that is not aligned
  RangeClaims claims_;
};

}  // namespace varve

#endif
