// Advisory locks that QEMU understands.
//
// QEMU guards an image file by shared locks on single bytes (block/file-posix.c of QEMU 2.10 and later): byte 100+i says
// "I use permission i", byte 200+i says "nobody else may use permission i"; i is 0 consistent read, 1 write, 2 write
// unchanged, 3 resize. A conflict is found by asking whether an exclusive lock on the opposite byte would be granted. They are
// open file description locks, so they belong to one open() and vanish with it.
//
// Which bytes QEMU 7.2 holds, read from /proc/locks (tests/interop/locks_test.cc):
//
//     guest device, VMDK               100 101 103  201 203        guest device, raw       100 101  201
//     guest device read-only, raw      100          201            backing file of either  100      201 203
//     qemu-nbd, qemu-io on VMDK        100 101 103  201 203        the same read-only      100      201 203
//
// Nobody holds 200, so nobody minds a holder of 100. A writer of ours takes what a qemu-io that writes takes, so that it and
// QEMU exclude each other. A reader of ours refuses to read what is being written, but must never keep a virtual machine from
// starting: of QEMU's bytes it takes 100 alone (qemu-img takes 201 and 203 as well, and does keep one). If a machine starts
// while we read, it wins and we may read a mixture. Our own writers have no guest waiting: for them a reader takes byte
// 300, which QEMU does not know, and a writer of ours is refused while we read.
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
