// A bound on what a conversion may write (Limits::output_bytes): a small image can stand for a disk of any size [RES-3].
#ifndef VARVE_OPS_OUTPUT_LIMIT_H
#define VARVE_OPS_OUTPUT_LIMIT_H

#include <cstdint>
#include <memory>

#include "io/file_system.h"
#include "varve/storage.h"

namespace varve::ops {

/// `storage`, into which at most `bytes` are written; then Errc::limit. Bytes that are written twice count twice.
std::shared_ptr<Storage> limit_output(std::shared_ptr<Storage> storage, uint64_t bytes);

/// `files`, into all of whose files together at most `bytes` are written. `files` must outlive it, and it what it opened.
std::unique_ptr<FileSystem> limit_output(FileSystem& files, uint64_t bytes);

}  // namespace varve::ops

#endif
