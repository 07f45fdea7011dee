// The program's signals are the program's.
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 4 << 20;

std::atomic<int> calls{0};             // NOLINT: a signal handler has nothing else
std::atomic<int> calls_elsewhere{0};   // NOLINT
std::atomic<pid_t> thread_of_main{0};  // NOLINT

void note_thread(int /*signal*/) {
  ++calls;
  if (gettid() != thread_of_main) ++calls_elsewhere;
}

/// SIGUSR1 is handled while it lives.
class UsrSignal {
 public:
  UsrSignal() {
    thread_of_main = gettid();
    struct sigaction action = {};
    action.sa_handler = note_thread;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, &before_);
    pthread_sigmask(SIG_BLOCK, nullptr, &mask_before_);
  }
  ~UsrSignal() {
    unblock_here();
    sigaction(SIGUSR1, &before_, nullptr);
  }
  UsrSignal(const UsrSignal&) = delete;
  UsrSignal& operator=(const UsrSignal&) = delete;

  /// From now on this thread does not take it.
  void block_here() {
    sigset_t usr;
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr, nullptr);
  }
  void unblock_here() { pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr); }
  static void send() { kill(getpid(), SIGUSR1); }

 private:
  struct sigaction before_ = {};
  sigset_t mask_before_;
};

/// The blocked signals of each thread but the main one, one bit each from signal 1.
std::vector<uint64_t> masks_of_other_threads() {
  std::vector<uint64_t> masks;
  for (const auto& thread : std::filesystem::directory_iterator("/proc/self/task")) {
    if (thread.path().filename() == std::to_string(thread_of_main.load())) continue;
    std::ifstream status(thread.path() / "status");
    for (std::string line; std::getline(status, line);)
      if (line.rfind("SigBlk:", 0) == 0) masks.push_back(std::stoull(line.substr(7), nullptr, 16));
  }
  return masks;
}

/// How many threads there are beside the main one; which must all have blocked what a program may handle.
size_t check_masks() {
  uint64_t wanted = 0;
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM, SIGCHLD, SIGWINCH})
    wanted |= uint64_t{1} << (signal - 1);
  const std::vector<uint64_t> masks = masks_of_other_threads();
  for (const uint64_t mask : masks) CHECK((mask & wanted) == wanted);
  return masks.size();
}

/// Writes all over the disk by the queue, and calls `meanwhile` after each submission.
template <typename Meanwhile>
void keep_busy(const Requests& queue, Meanwhile meanwhile) {
  Block data = pattern(0, 65536);
  const iovec one = {data.data(), data.size()};
  Told told;
  for (unsigned round = 0; round < 10; ++round) {
    for (unsigned i = 0; i < 32; ++i) {
      must(varve_queue_write(queue.get(), i * 65536, &one, 1, 0, i, told), told);
      meanwhile();
    }
    varve_completion done[32];
    REQUIRE(varve_queue_wait(queue.get(), done, 32, 32, -1) == 32);
  }
}

}  // namespace

TEST_CASE("threads: no signal of the process reaches a thread of the library") {
  const TempDir dir;
  calls = 0;
  calls_elsewhere = 0;
  {
    UsrSignal usr;
    Disk disk = create(dir / "a.varve", kSize, options({{"format", "varve"}, {"create.compression", "zstd"}, {"threads", "4"}}));
    const Requests queue = queue_of(disk, 32);
    keep_busy(queue, [] {});  // the threads begin while this one takes signals: they would, too
    CHECK(check_masks() > 0);
    usr.block_here();
    keep_busy(queue, UsrSignal::send);
    CHECK(calls.load() == 0);
    Told told;
    must(varve_close(disk.get(), told), told);
  }
  CHECK(calls.load() == 1);  // it had waited for this thread
  CHECK(calls_elsewhere.load() == 0);
}

TEST_CASE("threads: no signal reaches the threads of a conversion") {
  const TempDir dir;
  const UsrSignal usr;
  Disk disk = create(dir / "a.varve", kSize, options({{"format", "varve"}}));
  write(disk, 0, pattern(0, kSize));
  close(std::move(disk));
  size_t most = 0;
  const auto look = [](void* user, uint64_t, uint64_t) {
    size_t& seen = *static_cast<size_t*>(user);
    seen = std::max(seen, check_masks());
    return 0;
  };
  Told told;
  const Options from = options({{"format", "varve"}});
  const Options to = options({{"format", "varve"}, {"create.compression", "zstd"}, {"threads", "4"}});
  must(varve_convert((dir / "a.varve").c_str(), from.get(), (dir / "b.varve").c_str(), to.get(), look, &most, told), told);
  CHECK(most > 0);
}
