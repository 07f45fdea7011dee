// What a host must let a test do besides having a program: each function says why it doesn't, or nothing if it does. A test is skipped
// for such a reason, also in CI; what fails although the host allows it is a failure.
#ifndef VARVE_TESTS_SUPPORT_HOST_H
#define VARVE_TESTS_SUPPORT_HOST_H

#include <string>

namespace varve::test {

/// Loop devices: the right to make them, and a device file for the next one.
std::string why_no_loop_device();
/// Mounting file systems of users (FUSE).
std::string why_no_fuse();
/// Mounting a file system of this type; to be asked after a mount has failed, since the kernel may load it then.
std::string why_no_mount(const std::string& type);
/// Direct I/O (O_DIRECT), past a page cache, on files of this directory.
std::string why_no_direct_io(const std::string& directory);
/// Tracing a child's system calls.
std::string why_no_ptrace();

}  // namespace varve::test

/// Ends the test case as skipped if there is such a reason.
#define SKIP_IF_ANY(why)                                                                        \
  do {                                                                                          \
    if (const std::string varve_reason = (why); !varve_reason.empty()) SKIP_TEST(varve_reason); \
  } while (false)

#endif
