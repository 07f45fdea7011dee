// What the opaque handles of varve/varve.h are, and the way in and out: nothing is thrown through the C interface.
#ifndef VARVE_CAPI_HANDLES_H
#define VARVE_CAPI_HANDLES_H

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "crypto/fork_count.h"
#include "io/file_system.h"
#include "varve/image.h"
#include "varve/queue.h"
#include "varve/varve.h"

struct varve_error {
  int code = VARVE_INTERNAL;
  std::string message;
  std::string path;
  std::optional<uint64_t> file_offset;
  std::optional<uint64_t> disk_offset;
};

struct varve_storage {
  std::shared_ptr<varve::Storage> storage;
  uint64_t forks = varve::fork_count();
};

struct varve_options {
  uint64_t forks = varve::fork_count();
  varve::OpenOptions open;
  varve::OptionMap create;
  bool force = false;
  std::string parent_format;
  std::string parent_snapshot;
  bool format_is_set = false;
  unsigned threads = 0;
  std::vector<std::shared_ptr<const varve::KeySecret>> secrets;
  varve_warning_fn* show_warning = nullptr;
  void* warning_user = nullptr;
  varve_resolve_fn* resolve = nullptr;
  void* resolve_user = nullptr;
};

struct varve_image {
  varve_image(std::unique_ptr<varve::FileSystem> given_files, varve::Image opened, const varve::EngineOptions& engine_options)
      : files(std::move(given_files)), image(std::move(opened)), engine(image, engine_options) {}

  uint64_t forks = varve::fork_count();
  bool direct = false;                       ///< past the host's page cache
  std::unique_ptr<varve::FileSystem> files;  ///< nullptr: the host's
  varve::Image image;
  varve::Engine engine;
};

struct varve_queue {
  varve_queue(varve_image& its_image, unsigned depth) : image(its_image), queue(its_image.engine, depth) {}

  varve_image& image;
  varve::Queue queue;
};

namespace varve::capi {

/// The code; into `error`, if it is not null, that and a line (nullptr for want of memory).
int told(varve_error** error, int code, const char* message) noexcept;

/// The code of an exception; into `error`, if it is not null, what else it tells (nullptr for want of memory).
int report(const std::exception_ptr& thrown, varve_error** error) noexcept;

/// Runs `work` and returns 0, or what report() says of what it throws.
template <typename Work>
int guarded(varve_error** error, Work work) noexcept {
  if (error != nullptr) *error = nullptr;
  try {
    work();
    return VARVE_OK;
  } catch (...) {
    return report(std::current_exception(), error);
  }
}

template <typename Handle>
Handle& required(Handle* handle, const char* what) {
  if (handle == nullptr) throw Error(Errc::invalid_argument, std::string(what) + " is NULL");
  return *handle;
}

/// Where the handle that a function makes is put: holds nullptr until then.
template <typename Handle>
Handle*& place_of(Handle** out) {
  Handle*& place = required(out, "the place of the result");
  place = nullptr;
  return place;
}

/// Where `length` bytes begin.
template <typename Pointer>
Pointer required_bytes(Pointer bytes, size_t length) {
  if (length != 0) static_cast<void>(required(static_cast<const char*>(bytes), "the buffer"));
  return bytes;
}

/// Of this process, and not of its parent: locks that another thread held there, threads and secrets are not here.
template <typename Handle>
Handle& of_this_process(Handle* handle, const char* what) {
  Handle& one = required(handle, what);
  if (one.forks != fork_count())
    throw Error(Errc::invalid_argument, std::string(what) + " is of the parent process").hint("make it anew after fork()");
  return one;
}

/// Takes it back, if it is this process's.
template <typename Handle>
void give_back(Handle* handle) noexcept {
  if (handle != nullptr && handle->forks == fork_count()) std::unique_ptr<Handle>{handle};
}

inline varve_image& usable(const varve_image* image) { return of_this_process(const_cast<varve_image*>(image), "the image"); }
inline varve_options& usable(varve_options* options) { return of_this_process(options, "the options"); }
inline const varve_options& usable(const varve_options* options) { return of_this_process(options, "the options"); }
inline const std::shared_ptr<Storage>& usable(const varve_storage* storage) { return of_this_process(storage, "the storage").storage; }

/// The flags of a change; else invalid_argument.
inline bool wants_fua(unsigned flags) {
  if ((flags & ~unsigned{VARVE_FUA}) != 0) throw Error(Errc::invalid_argument, "a flag is not known");
  return (flags & VARVE_FUA) != 0;
}

// options.cc
/// What a cache mode by its name means, and whether flushes are waited for; NULL: the default.
std::pair<Cache, bool> cache_of(const char* mode);
OpenOptions open_options(const varve_options* options);
CreateOptions create_options(const varve_options* options);
EngineOptions engine_options(const varve_options* options);
const std::string& format_of(const varve_options* options);

// files.cc
/// A file system that consists of one file, `main`, and what the caller's resolver finds.
std::unique_ptr<FileSystem> files_around(std::shared_ptr<Storage> main, const varve_options& options);

}  // namespace varve::capi

#endif
