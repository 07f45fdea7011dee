#include "io/posix_storage.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <utility>

#include "base/checked_math.h"
#include "io/host_error.h"
#include "io/uninterrupted.h"

namespace varve {

namespace {

constexpr uint64_t kMaxOffset = std::numeric_limits<off_t>::max();
// Linux moves at most 0x7ffff000 bytes per call; a round number below that keeps offsets aligned.
constexpr uint64_t kMaxTransfer = uint64_t{1} << 30;

off_t as_off(uint64_t value) { return static_cast<off_t>(value); }

struct stat status_of(int fd, const std::string& name) {
  struct stat st = {};
  if (fstat(fd, &st) != 0) throw host_error(errno, "cannot ask for its size").in(name).during("fstat");
  return st;
}

uint32_t block_size_of(uint64_t asked) {
  return asked >= 512 && asked <= (uint64_t{1} << 30) && is_power_of_two(asked) ? static_cast<uint32_t>(asked) : 4096;
}

bool means_not_possible(int error) {
  return error == EOPNOTSUPP || error == ENOSYS || error == EINVAL || error == ENOTTY || error == ENODEV || error == EXDEV;
}

/// Does copy_file_range() leave the bytes where they are? Elsewhere it moves them through the page cache, one range of a file at a time.
bool copies_on_server(int fd) {
  struct statfs fs = {};
  if (fstatfs(fd, &fs) != 0) return false;
  constexpr std::array<uint32_t, 4> kRemote = {NFS_SUPER_MAGIC, SMB2_SUPER_MAGIC, CIFS_SUPER_MAGIC, CEPH_SUPER_MAGIC};
  return std::find(kRemote.begin(), kRemote.end(), static_cast<uint32_t>(fs.f_type)) != kRemote.end();
}

}  // namespace

PosixStorage::PosixStorage(UniqueFd fd, std::string name, bool durable) : fd_(std::move(fd)), name_(std::move(name)), durable_(durable) {
  const struct stat st = status_of(fd_.get(), name_);
  if (S_ISREG(st.st_mode)) {
    id_ = {st.st_dev, st.st_ino};
    limits_ = {block_size_of(static_cast<uint64_t>(st.st_blksize)), false, true};
    return;
  }
  if (!S_ISBLK(st.st_mode)) throw Error(Errc::invalid_argument, "it is neither a regular file nor a block device").in(name_);
  int sector = 0;
  if (ioctl(fd_.get(), BLKGETSIZE64, &device_size_) != 0)
    throw host_error(errno, "cannot ask the device for its size").in(name_).during("ioctl");
  if (ioctl(fd_.get(), BLKSSZGET, &sector) != 0) sector = 512;
  id_ = {st.st_rdev, 0};  // no regular file has inode 0; a device has several names
  limits_ = {block_size_of(static_cast<uint64_t>(sector)), true, false};
}

uint64_t PosixStorage::size() const { return is_device() ? device_size_ : static_cast<uint64_t>(status_of(fd_.get(), name_).st_size); }

std::optional<uint64_t> PosixStorage::allocated_bytes() const {
  if (is_device()) return std::nullopt;
  return static_cast<uint64_t>(status_of(fd_.get(), name_).st_blocks) * 512;
}

std::optional<uint32_t> PosixStorage::mode() const { return status_of(fd_.get(), name_).st_mode & 07777; }

void PosixStorage::read_at(uint64_t offset, MutableBytes out) {
  const auto too_short = [&](uint64_t at) { return Error(Errc::corrupt, "the file ends too early").in(name_).at(at).during("read"); };
  if (!range_fits(offset, out.size(), kMaxOffset)) throw too_short(offset);
  while (!out.empty()) {
    const ssize_t n =
        uninterrupted([&] { return pread(fd_.get(), out.data(), std::min<size_t>(out.size(), kMaxTransfer), as_off(offset)); });
    if (n < 0) throw host_error(errno, "cannot read").in(name_).at(offset).during("read");
    if (n == 0) throw too_short(offset);
    out = out.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
}

void PosixStorage::write_at(uint64_t offset, ConstBytes data) {
  if (!range_fits(offset, data.size(), kMaxOffset))
    throw Error(Errc::limit, "a file cannot be that large").in(name_).at(offset).during("write");
  while (!data.empty()) {
    const ssize_t n =
        uninterrupted([&] { return pwrite(fd_.get(), data.data(), std::min<size_t>(data.size(), kMaxTransfer), as_off(offset)); });
    if (n < 0) throw host_error(errno, "cannot write").in(name_).at(offset).during("write");
    if (n == 0) throw Error(Errc::no_space, "the device takes no more bytes").in(name_).at(offset).during("write");
    data = data.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
}

void PosixStorage::flush() {
  if (!durable_) return;
  if (uninterrupted([&] { return fdatasync(fd_.get()); }) != 0)
    throw host_error(errno, "cannot make the data durable").in(name_).during("flush");
}

void PosixStorage::resize(uint64_t size) {
  if (is_device()) throw Error(Errc::unsupported, "a block device cannot be resized").in(name_).during("resize");
  if (size > kMaxOffset) throw Error(Errc::limit, "a file cannot be that large").in(name_).during("resize");
  if (uninterrupted([&] { return ftruncate(fd_.get(), as_off(size)); }) != 0)
    throw host_error(errno, "cannot resize to " + std::to_string(size) + " bytes").in(name_).during("resize");
}

StorageExtent PosixStorage::extent_at(uint64_t offset) {
  // The descriptor's cursor moves, which nothing here uses. What answers neither question (a block device) is all data.
  const off_t data = lseek(fd_.get(), as_off(offset), SEEK_DATA);
  if (data < 0 && errno == ENXIO) {
    const uint64_t end = size();
    return {offset, end > offset ? end - offset : 0, true};
  }
  if (data < 0) return Storage::extent_at(offset);
  if (static_cast<uint64_t>(data) > offset) return {offset, static_cast<uint64_t>(data) - offset, true};
  const off_t hole = lseek(fd_.get(), as_off(offset), SEEK_HOLE);
  if (hole <= data) return Storage::extent_at(offset);
  return {offset, static_cast<uint64_t>(hole) - offset, false};
}

bool PosixStorage::change_allocation(int mode, uint64_t offset, uint64_t length, const char* what) {
  const uint64_t end = size();
  if (offset >= end || length == 0) return true;
  length = std::min(length, end - offset);
  if (uninterrupted([&] { return fallocate(fd_.get(), mode | FALLOC_FL_KEEP_SIZE, as_off(offset), as_off(length)); }) == 0) return true;
  if (means_not_possible(errno)) return false;
  throw host_error(errno, std::string("cannot ") + what + " a range").in(name_).at(offset).during("fallocate");
}

bool PosixStorage::punch_hole(uint64_t offset, uint64_t length) {
  // On a block device the kernel does this with a command that guarantees zeros (WRITE ZEROES with unmap), or refuses: a bare
  // discard, after which anything may be read, is never sent. Ranges that are not whole sectors of a device are refused, too.
  return change_allocation(FALLOC_FL_PUNCH_HOLE, offset, length, "free");
}

bool PosixStorage::reserve(uint64_t offset, uint64_t length) { return change_allocation(0, offset, length, "reserve"); }

uint64_t PosixStorage::share_blocks(const PosixStorage& source, uint64_t source_offset, uint64_t offset, uint64_t length) const {
  const uint64_t unit = std::max(limits_.block_size, source.limits_.block_size);
  length = align_down(length, unit);
  if (is_device() || source.is_device() || length == 0 || source_offset % unit != 0 || offset % unit != 0) return 0;
  struct file_clone_range range = {};
  range.src_fd = source.fd();
  range.src_offset = source_offset;
  range.src_length = length;
  range.dest_offset = offset;
  return ioctl(fd_.get(), FICLONERANGE, &range) == 0 ? length : 0;
}

uint64_t PosixStorage::copy_from(Storage& source, uint64_t source_offset, uint64_t offset, uint64_t length) {
  auto* const from = dynamic_cast<PosixStorage*>(&source);
  if (from == nullptr || !range_fits(source_offset, length, kMaxOffset) || !range_fits(offset, length, kMaxOffset)) return 0;
  uint64_t done = share_blocks(*from, source_offset, offset, length);
  if (done == length || !copies_on_server(fd_.get())) return done;
  while (done < length) {
    off_t in = as_off(source_offset + done);
    off_t out = as_off(offset + done);
    const ssize_t n =
        uninterrupted([&] { return copy_file_range(from->fd(), &in, fd_.get(), &out, std::min(length - done, kMaxTransfer), 0); });
    // Whatever else is wrong, reading and writing by hand finds it again, and can tell which side it was.
    if (n < 0 && errc_of_errno(errno) == Errc::no_space) throw host_error(errno, "cannot write").in(name_).at(offset + done).during("copy");
    if (n <= 0) break;
    done += static_cast<uint64_t>(n);
  }
  return done;
}

}  // namespace varve
