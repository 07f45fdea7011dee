// The program's signals are the program's.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <filesystem>

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

/// SIGUSR1 is handled, but not by this thread.
class UsrSignal {
 public:
  UsrSignal() {
    thread_of_main = gettid();
    struct sigaction action = {};
    action.sa_handler = note_thread;
    action.sa_flags = SA_RESTART;
    sigaction(SIGUSR1, &action, &before_);
    sigset_t usr;
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &usr, &mask_before_);
  }
  ~UsrSignal() {
    pthread_sigmask(SIG_SETMASK, &mask_before_, nullptr);
    sigaction(SIGUSR1, &before_, nullptr);
  }
  UsrSignal(const UsrSignal&) = delete;
  UsrSignal& operator=(const UsrSignal&) = delete;
  static void send() { kill(getpid(), SIGUSR1); }

 private:
  struct sigaction before_ = {};
  sigset_t mask_before_;
};

long threads_now() { return std::distance(std::filesystem::directory_iterator("/proc/self/task"), std::filesystem::directory_iterator()); }

}  // namespace

TEST_CASE("threads: no signal of the process reaches a thread of the library") {
  const TempDir dir;
  calls = 0;
  calls_elsewhere = 0;
  {
    const UsrSignal usr;
    const long before = threads_now();
    Disk disk = create(dir / "a.varve", kSize, options({{"format", "varve"}, {"create.compression", "zstd"}, {"threads", "4"}}));
    const Requests queue = queue_of(disk, 32);
    Block data = pattern(0, 65536);
    const iovec one = {data.data(), data.size()};
    Told told;
    for (unsigned round = 0; round < 20; ++round) {
      for (unsigned i = 0; i < 32; ++i) {
        must(varve_queue_write(queue.get(), i * 65536, &one, 1, 0, i, told), told);
        UsrSignal::send();
      }
      varve_completion done[32];
      REQUIRE(varve_queue_wait(queue.get(), done, 32, 32, -1) == 32);
    }
    CHECK(threads_now() > before);
    must(varve_close(disk.get(), told), told);
    const auto send_one = [](void*, uint64_t, uint64_t) {
      UsrSignal::send();
      return 0;
    };
    const Options from = options({{"format", "varve"}, {"lock", "off"}});
    const Options to = options({{"format", "varve"}, {"create.compression", "zstd"}, {"threads", "4"}});
    must(varve_convert((dir / "a.varve").c_str(), from.get(), (dir / "b.varve").c_str(), to.get(), send_one, nullptr, told), told);
    CHECK(calls.load() == 0);
  }
  CHECK(calls.load() == 1);  // it had waited for this thread
  CHECK(calls_elsewhere.load() == 0);
}
