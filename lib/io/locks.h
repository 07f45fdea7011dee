// Advisory locks that QEMU understands.
//
// QEMU guards an image file by shared locks on single bytes (block/file-posix.c of QEMU 2.10 and later): byte 100+i says
// "I use permission i", byte 200+i says "nobody else may use permission i"; i is 0 consistent read, 1 write, 2 write
// unchanged, 3 resize. A conflict is found by asking whether an exclusive lock on the opposite byte would be granted. They are
// open file description locks, so they belong to one open() and vanish with it.
//
// A writer of ours takes what a qemu-img that writes takes, so that it and QEMU exclude each other. A reader of ours refuses to
// read what is being written, but must never keep a virtual machine from starting: it takes byte 100 alone, which
// no guest device conflicts with. For our own writers, which have no guest waiting, it also takes byte 300, which QEMU
// doesn't know: so a writer of ours waits for our readers, too.
#ifndef VARVE_IO_LOCKS_H
#define VARVE_IO_LOCKS_H

#include <string>

#include "varve/image.h"

namespace varve {

/// Locks the open file `fd` until it is closed, or throws Errc::locked and leaves nothing locked that was not. Where the file
/// system has no such locks it does nothing, as QEMU does.
void lock_file(int fd, Access access, const std::string& path);

/// Throws Errc::locked if opening for writing would, and takes nothing.
void check_unlocked_for_writing(int fd, const std::string& path);

}  // namespace varve

#endif
