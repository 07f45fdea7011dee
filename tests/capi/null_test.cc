// NULL where something must stand is refused with invalid_argument, and given back it does nothing.
#include <functional>

#include "capi/kit.h"
#include "support/test.h"

using namespace varve::test;

namespace {

constexpr uint64_t kSize = 1 << 20;

using Call = std::function<int(varve_error**)>;

void check_refused(const std::map<std::string, Call>& calls) {
  for (const auto& call : calls) {
    CAPTURE(call.first);
    Told told;
    CHECK(refused(call.second(told), told) == VARVE_INVALID_ARGUMENT);
    CHECK(call.second(nullptr) == VARVE_INVALID_ARGUMENT);
  }
}

void nothing(void* /*user*/, const char* /*key*/, const char* /*value*/) {}

}  // namespace

TEST_CASE("giving back NULL does nothing") {
  varve_error_free(nullptr);
  varve_options_free(nullptr);
  varve_options_clear_secrets(nullptr);
  varve_options_on_warning(nullptr, nullptr, nullptr);
  varve_options_on_resolve(nullptr, nullptr, nullptr);
  varve_storage_free(nullptr);
  varve_free(nullptr);
  varve_queue_free(nullptr);
}

TEST_CASE("what tells nothing of NULL says 0") {
  CHECK(varve_size(nullptr) == 0);
  CHECK(varve_is_writable(nullptr) == 0);
  CHECK(varve_queue_in_flight(nullptr) == 0);
  CHECK(varve_has_feature(nullptr) == 0);
}

TEST_CASE("NULL is refused as options, storage, path, name and place of a result") {
  const Options how = options({{"format", "raw"}});
  varve_options* const o = how.get();
  MemoryFile file;
  const File storage = file.storage("a.raw");
  const varve_storage_ops ops = file.ops();
  varve_options* made = nullptr;
  varve_storage* stored = nullptr;
  varve_image* image = nullptr;
  check_refused({
      {"options_new", [](varve_error** e) { return varve_options_new(nullptr, e); }},
      {"options_set of none", [](varve_error** e) { return varve_options_set(nullptr, "format", "raw", e); }},
      {"options_set no name", [=](varve_error** e) { return varve_options_set(o, nullptr, "raw", e); }},
      {"options_set no value", [=](varve_error** e) { return varve_options_set(o, "format", nullptr, e); }},
      {"add_secret of none", [](varve_error** e) { return varve_options_add_secret(nullptr, "passphrase", "x", 1, e); }},
      {"add_secret no kind", [=](varve_error** e) { return varve_options_add_secret(o, nullptr, "x", 1, e); }},
      {"add_secret no bytes", [=](varve_error** e) { return varve_options_add_secret(o, "passphrase", nullptr, 1, e); }},
      {"from_fd no name", [&](varve_error** e) { return varve_storage_from_fd(0, nullptr, nullptr, &stored, e); }},
      {"from_fd no place", [](varve_error** e) { return varve_storage_from_fd(0, "a", nullptr, nullptr, e); }},
      {"from_ops no ops", [&](varve_error** e) { return varve_storage_from_ops(nullptr, &file, "a", &stored, e); }},
      {"from_ops no name", [&](varve_error** e) { return varve_storage_from_ops(&ops, &file, nullptr, &stored, e); }},
      {"from_ops no place", [&](varve_error** e) { return varve_storage_from_ops(&ops, &file, "a", nullptr, e); }},
      {"open no path", [&](varve_error** e) { return varve_open(nullptr, o, &image, e); }},
      {"open no options", [&](varve_error** e) { return varve_open("a", nullptr, &image, e); }},
      {"open no place", [=](varve_error** e) { return varve_open("a", o, nullptr, e); }},
      {"open_storage no storage", [&](varve_error** e) { return varve_open_storage(nullptr, o, &image, e); }},
      {"open_storage no options", [&](varve_error** e) { return varve_open_storage(storage.get(), nullptr, &image, e); }},
      {"open_storage no place", [&](varve_error** e) { return varve_open_storage(storage.get(), o, nullptr, e); }},
      {"create no path", [&](varve_error** e) { return varve_create(nullptr, kSize, o, &image, e); }},
      {"create no options", [&](varve_error** e) { return varve_create("a", kSize, nullptr, &image, e); }},
      {"create no place", [=](varve_error** e) { return varve_create("a", kSize, o, nullptr, e); }},
      {"create_storage no storage", [&](varve_error** e) { return varve_create_storage(nullptr, kSize, o, &image, e); }},
      {"create_storage no place", [&](varve_error** e) { return varve_create_storage(storage.get(), kSize, o, nullptr, e); }},
      {"convert no source", [=](varve_error** e) { return varve_convert(nullptr, o, "b", o, nullptr, nullptr, e); }},
      {"convert no source options", [=](varve_error** e) { return varve_convert("a", nullptr, "b", o, nullptr, nullptr, e); }},
      {"convert no target", [=](varve_error** e) { return varve_convert("a", o, nullptr, o, nullptr, nullptr, e); }},
      {"convert no target options", [=](varve_error** e) { return varve_convert("a", o, "b", nullptr, nullptr, nullptr, e); }},
  });
  CHECK(made == nullptr);
  CHECK(stored == nullptr);
  CHECK(image == nullptr);
  CHECK(file.released() == 0);
}

TEST_CASE("NULL is refused as image") {
  Block some(512);
  varve_limits limits;
  varve_extent extent;
  varve_queue* queue = nullptr;
  varve_check_report report;
  check_refused({
      {"close", [](varve_error** e) { return varve_close(nullptr, e); }},
      {"get_limits", [&](varve_error** e) { return varve_get_limits(nullptr, &limits, e); }},
      {"info", [](varve_error** e) { return varve_info(nullptr, 0, nothing, nullptr, e); }},
      {"read", [&](varve_error** e) { return varve_read(nullptr, 0, some.data(), 512, e); }},
      {"write", [&](varve_error** e) { return varve_write(nullptr, 0, some.data(), 512, 0, e); }},
      {"zero", [](varve_error** e) { return varve_zero(nullptr, 0, 512, 0, e); }},
      {"discard", [](varve_error** e) { return varve_discard(nullptr, 0, 512, 0, e); }},
      {"flush", [](varve_error** e) { return varve_flush(nullptr, e); }},
      {"extent_at", [&](varve_error** e) { return varve_extent_at(nullptr, 0, &extent, e); }},
      {"queue_new", [&](varve_error** e) { return varve_queue_new(nullptr, 1, &queue, e); }},
      {"snapshot_create", [](varve_error** e) { return varve_snapshot_create(nullptr, "a", 0, e); }},
      {"snapshot_delete", [](varve_error** e) { return varve_snapshot_delete(nullptr, "a", 0, e); }},
      {"snapshot_revert", [](varve_error** e) { return varve_snapshot_revert(nullptr, "a", e); }},
      {"snapshot_rename", [](varve_error** e) { return varve_snapshot_rename(nullptr, "a", "b", e); }},
      {"snapshot_list", [](varve_error** e) { return varve_snapshot_list(nullptr, nullptr, nullptr, e); }},
      {"resize", [](varve_error** e) { return varve_resize(nullptr, kSize, 0, e); }},
      {"check", [&](varve_error** e) { return varve_check(nullptr, "none", 0, nullptr, nullptr, nullptr, &report, e); }},
      {"copy", [](varve_error** e) { return varve_copy(nullptr, nullptr, nullptr, nullptr, e); }},
  });
}

TEST_CASE("NULL is refused as buffer, name and place of an answer; of no bytes no buffer is needed") {
  const TempDir dir;
  const Disk disk = create(dir / "a.varve", kSize, options({{"format", "varve"}}));
  varve_image* const d = disk.get();
  check_refused({
      {"read", [=](varve_error** e) { return varve_read(d, 0, nullptr, 512, e); }},
      {"write", [=](varve_error** e) { return varve_write(d, 0, nullptr, 512, 0, e); }},
      {"get_limits", [=](varve_error** e) { return varve_get_limits(d, nullptr, e); }},
      {"info", [=](varve_error** e) { return varve_info(d, 0, nullptr, nullptr, e); }},
      {"extent_at", [=](varve_error** e) { return varve_extent_at(d, 0, nullptr, e); }},
      {"queue_new", [=](varve_error** e) { return varve_queue_new(d, 1, nullptr, e); }},
      {"snapshot_create", [=](varve_error** e) { return varve_snapshot_create(d, nullptr, 0, e); }},
      {"snapshot_delete", [=](varve_error** e) { return varve_snapshot_delete(d, nullptr, 0, e); }},
      {"snapshot_revert", [=](varve_error** e) { return varve_snapshot_revert(d, nullptr, e); }},
      {"snapshot_rename", [=](varve_error** e) { return varve_snapshot_rename(d, "a", nullptr, e); }},
      {"snapshot_list", [=](varve_error** e) { return varve_snapshot_list(d, nullptr, nullptr, e); }},
      {"check", [=](varve_error** e) { return varve_check(d, nullptr, 0, nullptr, nullptr, nullptr, nullptr, e); }},
      {"copy", [=](varve_error** e) { return varve_copy(d, d, nullptr, nullptr, e); }},
  });
  Told told;
  must(varve_read(d, 0, nullptr, 0, told), told);
  must(varve_write(d, kSize, nullptr, 0, 0, told), told);
  must(varve_check(d, "none", 0, nullptr, nullptr, nullptr, nullptr, told), told);
}

TEST_CASE("NULL is refused as queue, segments and place of completions") {
  const TempDir dir;
  const Disk disk = create(dir / "a.varve", kSize, options({{"format", "varve"}}));
  const Requests queue = queue_of(disk, 4);
  varve_queue* const q = queue.get();
  Block some(512);
  const iovec one = {some.data(), some.size()};
  const iovec nowhere = {nullptr, 512};
  check_refused({
      {"read", [&](varve_error** e) { return varve_queue_read(nullptr, 0, &one, 1, 0, e); }},
      {"write", [&](varve_error** e) { return varve_queue_write(nullptr, 0, &one, 1, 0, 0, e); }},
      {"zero", [](varve_error** e) { return varve_queue_zero(nullptr, 0, 512, 0, 0, e); }},
      {"discard", [](varve_error** e) { return varve_queue_discard(nullptr, 0, 512, 0, 0, e); }},
      {"flush", [](varve_error** e) { return varve_queue_flush(nullptr, 0, e); }},
      {"eventfd", [](varve_error** e) { return varve_queue_eventfd(nullptr, e); }},
      {"read without segments", [=](varve_error** e) { return varve_queue_read(q, 0, nullptr, 1, 0, e); }},
      {"write without segments", [=](varve_error** e) { return varve_queue_write(q, 0, nullptr, 1, 0, 0, e); }},
      {"read to nowhere", [&](varve_error** e) { return varve_queue_read(q, 0, &nowhere, 1, 0, e); }},
      {"write from nowhere", [&](varve_error** e) { return varve_queue_write(q, 0, &nowhere, 1, 0, 0, e); }},
  });
  CHECK(varve_queue_in_flight(q) == 0);
  varve_completion done;
  CHECK(varve_queue_poll(nullptr, &done, 1) == VARVE_INVALID_ARGUMENT);
  CHECK(varve_queue_wait(nullptr, &done, 1, 1, 0) == VARVE_INVALID_ARGUMENT);
  CHECK(varve_queue_poll(q, nullptr, 1) == VARVE_INVALID_ARGUMENT);
  CHECK(varve_queue_wait(q, nullptr, 1, 1, 0) == VARVE_INVALID_ARGUMENT);
  CHECK(varve_queue_poll(q, nullptr, 0) == 0);
  CHECK(varve_queue_cancel(nullptr) == VARVE_INVALID_ARGUMENT);
}
