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

PosixStorage::PosixStorage(UniqueFd fd, std::string name, bool durable, Cache cache)
    : fd_(std::move(fd)), name_(std::move(name)), durable_(durable) {
  const struct stat st = status_of(fd_.get(), name_);
  if (S_ISREG(st.st_mode)) {
    id_ = {st.st_dev, st.st_ino};
    limits_ = {block_size_of(static_cast<uint64_t>(st.st_blksize)), false, true};
  } else if (S_ISBLK(st.st_mode)) {
    ask_device(st.st_rdev);
  } else {
    throw Error(Errc::invalid_argument, "it is neither a regular file nor a block device").in(name_);
  }
  if (cache == Cache::writeback) return;
  direct_ = std::make_unique<DirectIo>(fd_.get(), name_, is_device() ? limits_.block_size : 0);
  // What still passes through the cache are parts of blocks: reading ahead of them would put there what is to keep out of it.
  static_cast<void>(posix_fadvise(fd_.get(), 0, 0, POSIX_FADV_RANDOM));
}

void PosixStorage::ask_device(uint64_t number) {
  int sector = 0;
  if (ioctl(fd_.get(), BLKGETSIZE64, &device_size_) != 0)
    throw host_error(errno, "cannot ask the device for its size").in(name_).during("ioctl");
  if (ioctl(fd_.get(), BLKSSZGET, &sector) != 0) sector = 512;
  id_ = {number, 0};  // no regular file has inode 0; a device has several names
  limits_ = {block_size_of(static_cast<uint64_t>(sector)), true, false};
}

uint64_t PosixStorage::size() const { return is_device() ? device_size_ : static_cast<uint64_t>(status_of(fd_.get(), name_).st_size); }

std::optional<uint64_t> PosixStorage::allocated_bytes() const {
  if (is_device()) return std::nullopt;
  return static_cast<uint64_t>(status_of(fd_.get(), name_).st_blocks) * 512;
}

std::optional<uint32_t> PosixStorage::mode() const { return status_of(fd_.get(), name_).st_mode & 07777; }

Error PosixStorage::too_short(uint64_t offset) const {
  return Error(Errc::corrupt, "the file ends too early").in(name_).at(offset).during("read");
}

void PosixStorage::read_at(uint64_t offset, MutableBytes out) {
  if (!range_fits(offset, out.size(), kMaxOffset)) throw too_short(offset);
  if (direct_ == nullptr) return read_cached(offset, out);
  const DirectIo::Cut cut = direct_->cut(offset, out.size());
  read_cached(offset, out.first(cut.head));
  const size_t done = cut.head + direct_->read(offset + cut.head, out.subspan(cut.head, cut.middle));
  read_cached(offset + done, out.subspan(done));
}

void PosixStorage::read_cached(uint64_t offset, MutableBytes out) const {
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
  if (direct_ == nullptr || data.empty()) return write_cached(offset, data);
  const RangeClaims::Claim claim = direct_->claim(offset, data.size());
  const DirectIo::Cut cut = direct_->cut(offset, data.size());
  write_cached(offset, data.first(cut.head));
  const size_t done = cut.head + direct_->write(offset + cut.head, data.subspan(cut.head, cut.middle));
  write_cached(offset + done, data.subspan(done));
}

void PosixStorage::write_cached(uint64_t offset, ConstBytes data) const {
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

std::shared_ptr<Storage> storage_of_descriptor(int fd, std::string name, bool durable, Cache cache) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0) throw Error(Errc::invalid_argument, "the descriptor is not open").in(name).during("open");
  if ((flags & (O_APPEND | O_PATH)) != 0 || (flags & O_ACCMODE) == O_WRONLY)
    throw Error(Errc::invalid_argument, "the descriptor can't be read at any place, or not be written there")
        .in(name)
        .during("open")
        .hint("open it with O_RDONLY or O_RDWR, without O_APPEND and O_PATH");
  UniqueFd own((flags & O_DIRECT) != 0 ? reopen(fd, 0) : UniqueFd(fcntl(fd, F_DUPFD_CLOEXEC, 0)));
  if (!own && (flags & O_DIRECT) != 0)
    throw Error(Errc::unsupported, "it is open with O_DIRECT and can't be opened again without it")
        .in(name)
        .during("open")
        .hint("open it without O_DIRECT");
  if (!own) throw host_error(errno, "cannot duplicate its descriptor").in(name).during("open");
  return std::make_shared<PosixStorage>(std::move(own), std::move(name), durable, cache);
}

}  // namespace varve
