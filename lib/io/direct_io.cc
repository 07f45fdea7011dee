#include "io/direct_io.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/checked_math.h"
#include "io/host_error.h"
#include "io/uninterrupted.h"

namespace varve {

namespace {

/// No file system wants more, and Linux keeps no smaller pages.
constexpr uint64_t kBlock = 4096;
constexpr size_t kBounce = size_t{1} << 20;
constexpr size_t kMaxTransfer = size_t{1} << 30;

UniqueFd open_direct(int fd, const std::string& name) {
  UniqueFd direct = reopen(fd, O_DIRECT);
  if (direct) return direct;
  const int error = errno;
  if (error == EMFILE || error == ENFILE || error == ENOMEM) throw host_error(error, "cannot open for direct I/O").in(name).during("open");
  const bool unknown = error == EINVAL || error == EOPNOTSUPP;
  throw Error(Errc::unsupported, unknown ? "the file system has no direct I/O (O_DIRECT)" : "it can't be opened again for direct I/O")
      .caused_by(host_error(error, "").cause())
      .in(name)
      .during("open")
      .hint("use cache=writeback");
}

bool is_aligned(const std::byte* memory, uint64_t unit) {
  return reinterpret_cast<uintptr_t>(memory) % unit == 0;  // NOLINT: the number of an address
}

uint64_t page_size() {
  const long size = sysconf(_SC_PAGESIZE);
  return size > 0 ? static_cast<uint64_t>(size) : kBlock;
}

}  // namespace

UniqueFd reopen(int fd, int flags) {
  const int status = fcntl(fd, F_GETFL);
  if (status < 0) return {};
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  return UniqueFd(open(self.c_str(), (status & (O_ACCMODE | O_SYNC)) | flags | O_CLOEXEC | O_NOCTTY));
}

DirectIo::DirectIo(int fd, std::string name, uint32_t device_sector)
    : name_(std::move(name)),
      block_(std::max<uint64_t>(kBlock, device_sector)),
      claim_(std::max(block_, page_size())),
      fd_(open_direct(fd, name_)),
      pool_(std::max<size_t>(kBounce, block_), 16, block_) {}

DirectIo::Cut DirectIo::cut(uint64_t offset, size_t length) const {
  const uint64_t end = offset + length;
  const uint64_t first = std::min(align_up(offset, block_), end);
  const uint64_t last = std::max(align_down(end, block_), first);
  // Of a request that has no whole block all is head, also what lies behind a border between two blocks.
  if (first == last) return {length, 0};
  return {static_cast<size_t>(first - offset), static_cast<size_t>(last - first)};
}

RangeClaims::Claim DirectIo::claim(uint64_t offset, size_t length) {
  const uint64_t first = offset / claim_;
  return {claims_, first, (offset + length - 1) / claim_ - first + 1};
}

size_t DirectIo::read(uint64_t offset, MutableBytes out) {
  std::optional<BufferPool::Lease> bounce;
  if (!is_aligned(out.data(), block_)) bounce.emplace(pool_.take());
  size_t done = 0;
  while (done < out.size()) {
    const MutableBytes rest = out.subspan(done);
    const MutableBytes to =
        bounce ? (*bounce)->first(std::min(rest.size(), pool_.buffer_size())) : rest.first(std::min(rest.size(), kMaxTransfer));
    const ssize_t n = uninterrupted([&] { return pread(fd_.get(), to.data(), to.size(), static_cast<off_t>(offset + done)); });
    if (n < 0 && errno == EINVAL) break;
    if (n < 0) throw host_error(errno, "cannot read").in(name_).at(offset + done).during("read");
    const auto count = static_cast<size_t>(n);
    if (bounce) std::memcpy(rest.data(), to.data(), count);
    done += count;
    if (count == 0 || count % block_ != 0) break;
  }
  return done;
}

size_t DirectIo::write(uint64_t offset, ConstBytes data) {
  std::optional<BufferPool::Lease> bounce;
  if (!is_aligned(data.data(), block_)) bounce.emplace(pool_.take());
  size_t done = 0;
  while (done < data.size()) {
    ConstBytes from = data.subspan(done);
    from = from.first(std::min(from.size(), bounce ? pool_.buffer_size() : kMaxTransfer));
    if (bounce) {
      std::memcpy((*bounce)->data(), from.data(), from.size());
      from = (*bounce)->bytes().first(from.size());
    }
    const ssize_t n = uninterrupted([&] { return pwrite(fd_.get(), from.data(), from.size(), static_cast<off_t>(offset + done)); });
    if (n < 0 && errno == EINVAL) break;
    if (n < 0) throw host_error(errno, "cannot write").in(name_).at(offset + done).during("write");
    const auto count = static_cast<size_t>(n);
    done += count;
    if (count == 0 || count % block_ != 0) break;
  }
  return done;
}

}  // namespace varve
