// The table of callbacks through which nbdkit serves an image by libvarve. See docs/nbd.md.
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <limits>
#include <optional>

#include "failure.h"
#include "lifeline.h"
#include "nbdkit.h"
#include "parameters.h"
#include "served_image.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

namespace varve_nbdkit {
namespace {

struct Server {
  Parameters parameters;
  ServedImage image;
  std::optional<Lifeline> lifeline;
};

/// nbdkit gives its callbacks nothing of ours to hold it by before there are connections.
Server& server() {
  static Server only_one;
  return only_one;
}

// ---- before there are clients ----------------------------------------------------------------------------------------------------------

constexpr const char* kHelp =
    "file=PATH              (required) the image\n"
    "format=NAME            (required) its format, such as vmdk; auto with read-only=on\n"
    "read-only=on|off       on: open it for reading; without it, nbdkit -r decides when the first client comes\n"
    "key-file=PATH          a file with the passphrase or key of an encrypted image; may be repeated\n"
    "key-fd=N               the same from an open descriptor, up to its end\n"
    "passphrase=+PATH|-|-N  the same from a file, the terminal, a descriptor\n"
    "key-format=KIND        of key-file and key-fd: passphrase (the default), or raw: 32 bytes\n"
    "references=WHICH       files named inside the image that may be opened: none (the default), inside, any\n"
    "parent=PATH            the parent, instead of the one that the image names\n"
    "snapshot=NAME          serve this snapshot of the image; with read-only=on\n"
    "until-fd=N             a pipe: when its other end is closed, close the image and end, whoever is connected\n"
    "cache=MODE             writeback (the default), none or unsafe\n"
    "NAME=VALUE             any other option of varve_options_set()";

int config(const char* key, const char* value) {
  return answer([&] { server().parameters.set(key, value); });
}

int config_complete() {
  return answer([] { server().parameters.complete(); });
}

int get_ready() {
  return answer([] { ServedImage::rehearse(server().parameters); });
}

int after_fork() {
  return answer([] {
    const auto read_only = server().parameters.read_only();
    if (read_only) server().image.open(server().parameters, *read_only);
    if (const auto fd = server().parameters.until_fd()) server().lifeline.emplace(*fd, server().image);
  });
}

void cleanup() {
  server().lifeline.reset();
  answer([] { server().image.close(); });
}

void dump_plugin() { std::printf("varve_version=%s\n", varve_version_string()); }

// ---- what a client is told -------------------------------------------------------------------------------------------------------------

void* open_connection(int readonly) {
  const int opened = answer([&] { server().image.open(server().parameters, readonly != 0); });
  return opened == 0 ? static_cast<void*>(&server().image) : nullptr;
}

ServedImage& image_of(void* handle) { return *static_cast<ServedImage*>(handle); }

int64_t get_size(void* handle) {
  int64_t size = 0;
  const int known = answer([&] {
    if (image_of(handle).size() > uint64_t{std::numeric_limits<int64_t>::max()}) throw Failure("the disk is too large for NBD", EOVERFLOW);
    size = static_cast<int64_t>(image_of(handle).size());
  });
  return known == 0 ? size : -1;
}

int can_write(void* handle) { return image_of(handle).is_writable() ? 1 : 0; }

int yes(void* /*handle*/) { return 1; }
int no(void* /*handle*/) { return 0; }
int can_fua(void* /*handle*/) { return NBDKIT_FUA_NATIVE; }
int can_cache(void* /*handle*/) { return NBDKIT_CACHE_EMULATE; }  // reading warms the caches

int block_size(void* handle, uint32_t* minimum, uint32_t* preferred, uint32_t* maximum) {
  constexpr uint32_t kLeastPreferred = 512, kMostPreferred = 32 << 20, kMost = 64 << 20;  // NBD's, and nbdkit's
  return answer([&] {
    const varve_limits limits = image_of(handle).limits();
    *minimum = 1;
    *preferred = std::clamp(std::bit_ceil(limits.physical_sector), kLeastPreferred, kMostPreferred);
    *maximum = std::max(*preferred, static_cast<uint32_t>(std::min<uint64_t>(limits.largest_request, kMost)));
  });
}

// ---- requests, from many threads -----------------------------------------------------------------------------------------------------

/// The answer to a request. None, ever, if it fails because the server is ending: the client is to find the connection gone, not its disk
/// broken.
template <typename Work>
int reply(Work work) noexcept {
  try {
    work();
    return 0;
  } catch (const std::exception& failure) {
    while (server().lifeline && server().lifeline->is_ending()) pause();
    tell(failure);
    return -1;
  }
}

bool is_fua(uint32_t flags) { return (flags & NBDKIT_FLAG_FUA) != 0; }

int pread(void* handle, void* buffer, uint32_t count, uint64_t offset, uint32_t /*flags*/) {
  return reply([&] { image_of(handle).read(buffer, count, offset); });
}

int pwrite(void* handle, const void* data, uint32_t count, uint64_t offset, uint32_t flags) {
  return reply([&] { image_of(handle).write(data, count, offset, is_fua(flags)); });
}

int zero(void* handle, uint32_t count, uint64_t offset, uint32_t flags) {
  // Without the flag the client wants the space to be taken: nbdkit writes the zeros then.
  if ((flags & NBDKIT_FLAG_MAY_TRIM) == 0) {
    nbdkit_set_error(ENOTSUP);
    return -1;
  }
  return reply([&] { image_of(handle).zero(count, offset, is_fua(flags)); });
}

int trim(void* handle, uint32_t count, uint64_t offset, uint32_t flags) {
  return reply([&] { image_of(handle).discard(count, offset, is_fua(flags)); });
}

int flush(void* handle, uint32_t /*flags*/) {
  return reply([&] { image_of(handle).flush(); });
}

int extents(void* handle, uint32_t count, uint64_t offset, uint32_t flags, nbdkit_extents* found) {
  return reply([&] { image_of(handle).extents(count, offset, (flags & NBDKIT_FLAG_REQ_ONE) != 0, found); });
}

nbdkit_plugin make_plugin() {
  nbdkit_plugin plugin{};
  plugin.name = "varve";
  plugin.longname = "virtual disk images, by libvarve";
  plugin.version = varve_version_string();
  plugin.description = "Serves VMDK, VHDX, varve and raw images.";
  plugin.config = config;
  plugin.config_complete = config_complete;
  plugin.config_help = kHelp;
  plugin.magic_config_key = "file";
  plugin.dump_plugin = dump_plugin;
  plugin.get_ready = get_ready;
  plugin.after_fork = after_fork;
  plugin.cleanup = cleanup;
  plugin.open = open_connection;
  plugin.get_size = get_size;
  plugin.block_size = block_size;
  plugin.can_write = can_write;
  plugin.can_flush = yes;
  plugin.can_trim = yes;
  plugin.can_zero = yes;
  plugin.can_fast_zero = no;  // where it is cheap depends on the place
  plugin.can_extents = yes;
  plugin.can_multi_conn = yes;  // they share the image, and so a flush
  plugin.can_fua = can_fua;
  plugin.can_cache = can_cache;
  plugin.pread = pread;
  plugin.pwrite = pwrite;
  plugin.zero = zero;
  plugin.trim = trim;
  plugin.flush = flush;
  plugin.extents = extents;
  return plugin;
}

nbdkit_plugin plugin = make_plugin();  // NOLINT: nbdkit's macro fills in the rest of it

}  // namespace
}  // namespace varve_nbdkit

using varve_nbdkit::plugin;
NBDKIT_REGISTER_PLUGIN(plugin)
