// A child of fork() has handles of its parent, and must not use them.
#include <sys/wait.h>
#include <unistd.h>

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 1 << 20;

/// Runs in a child; its number tells which of the steps was wrong: 0, none.
template <typename Steps>
int in_child(Steps steps) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(30);
    _exit(steps());
  }
  int status = 0;
  REQUIRE(waitpid(child, &status, 0) == child);
  INFO("status " << status);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

}  // namespace

TEST_CASE("a child of fork() gets its parent's image and queue refused, frees them without effect, and opens its own") {
  const TempDir dir;
  Disk disk = create(dir / "a.varve", kSize, options({{"format", "varve"}}));
  Requests queue = queue_of(disk, 4);
  Block data = pattern(0, 4096);
  const iovec one = {data.data(), data.size()};
  Told told;
  must(varve_queue_write(queue.get(), 0, &one, 1, 0, 1, told), told);
  varve_completion done;
  REQUIRE(varve_queue_wait(queue.get(), &done, 1, 1, -1) == 1);
  close(create(dir / "b.raw", kSize, options({{"format", "raw"}})));
  const std::string other = dir / "b.raw";
  const int wrong = in_child([&] {
    varve_image* const d = disk.get();
    varve_queue* const q = queue.get();
    varve_error* error = nullptr;
    if (varve_read(d, 0, data.data(), 512, &error) != VARVE_INVALID_ARGUMENT) return 1;
    if (std::string(varve_error_message(error)).find("parent") == std::string::npos) return 2;
    if (varve_write(d, 0, data.data(), 512, 0, nullptr) != VARVE_INVALID_ARGUMENT) return 3;
    if (varve_flush(d, nullptr) != VARVE_INVALID_ARGUMENT) return 4;
    if (varve_close(d, nullptr) != VARVE_INVALID_ARGUMENT) return 5;
    if (varve_snapshot_create(d, "a", 0, nullptr) != VARVE_INVALID_ARGUMENT) return 6;
    varve_queue* another = nullptr;
    if (varve_queue_new(d, 1, &another, nullptr) != VARVE_INVALID_ARGUMENT) return 7;
    if (varve_queue_read(q, 0, &one, 1, 0, nullptr) != VARVE_INVALID_ARGUMENT) return 8;
    if (varve_queue_wait(q, &done, 1, 1, -1) != VARVE_INVALID_ARGUMENT) return 9;
    if (varve_queue_cancel(q) != VARVE_INVALID_ARGUMENT) return 10;
    if (varve_queue_eventfd(q, nullptr) != VARVE_INVALID_ARGUMENT) return 11;
    if (varve_queue_in_flight(q) != 0) return 12;
    varve_queue_free(q);
    varve_free(d);
    varve_options* how = nullptr;
    varve_image* own = nullptr;
    if (varve_options_new(&how, nullptr) != 0 || varve_options_set(how, "format", "raw", nullptr) != 0) return 13;
    if (varve_open(other.c_str(), how, &own, nullptr) != 0 || varve_read(own, 0, data.data(), 512, nullptr) != 0) return 14;
    varve_free(own);
    varve_options_free(how);
    return 0;
  });
  CHECK(wrong == 0);
  // The parent goes on.
  CHECK(read(disk, 0, 4096) == pattern(0, 4096));
  must(varve_queue_flush(queue.get(), 2, told), told);
  REQUIRE(varve_queue_wait(queue.get(), &done, 1, 1, -1) == 1);
  queue.reset();
  close(std::move(disk));
}

TEST_CASE("a child of fork() gets its parent's storage and options refused, and does not release the storage") {
  MemoryFile memory;
  memory.set_bytes(Block(kSize));
  const File file = memory.storage("a.raw");
  const Options how = options({{"format", "raw"}});
  const int wrong = in_child([&] {
    varve_image* image = nullptr;
    varve_options* own = nullptr;
    if (varve_options_new(&own, nullptr) != 0 || varve_options_set(own, "format", "raw", nullptr) != 0) return 1;
    if (varve_open_storage(file.get(), own, &image, nullptr) != VARVE_INVALID_ARGUMENT) return 2;
    if (varve_create_storage(file.get(), kSize, own, &image, nullptr) != VARVE_INVALID_ARGUMENT) return 3;
    varve_storage_free(file.get());
    if (memory.released() != 0) return 4;
    // Its secrets were wiped: what it would open with is not what the parent has given.
    if (varve_open("/dev/null", how.get(), &image, nullptr) != VARVE_INVALID_ARGUMENT) return 5;
    if (varve_options_set(how.get(), "format", "vmdk", nullptr) != VARVE_INVALID_ARGUMENT) return 6;
    if (varve_options_add_secret(how.get(), "passphrase", "x", 1, nullptr) != VARVE_INVALID_ARGUMENT) return 7;
    varve_options_clear_secrets(how.get());
    varve_options_free(how.get());
    return 0;
  });
  CHECK(wrong == 0);
  CHECK(read(open(file, how), 0, 512) == Block(512));
}
