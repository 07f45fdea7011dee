// A new file that has its name only when it is complete.
//
// The file begins without a name (O_TMPFILE), so a crash leaves nothing. publish() links it to its name, which fails if the name
// is taken, and flushes the directory. To replace a file it is linked to a random name first and renamed over the old
// one. Where a file system has no unnamed files, it begins as ".NAME.XXXXXXXX.tmp" beside the target instead, which a crash
// may leave behind. Two programs that make the same file never meet: one of them gets Errc::exists.
#ifndef VARVE_IO_ATOMIC_CREATE_H
#define VARVE_IO_ATOMIC_CREATE_H

#include <memory>
#include <string>

#include "io/file_system.h"

namespace varve {

enum class Unnamed { where_possible, never };

/// See FileSystem::create(). A symlink of that name is Errc::exists, even with `replace`; what is there and is no regular file is
/// never replaced (invalid_argument); a file that another program uses is not replaced either (locked). The new file is locked
/// for writing as long as its storage lives. Unnamed::never is for tests.
std::unique_ptr<PendingFile> atomic_create(const std::string& path, const FileCreate& how, Unnamed unnamed = Unnamed::where_possible);

}  // namespace varve

#endif
