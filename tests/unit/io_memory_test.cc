#include <thread>

#include "io/memory_file_system.h"
#include "io/memory_storage.h"
#include "support/bytes.h"
#include "support/test.h"

using varve::Errc;
using varve::MemoryFileSystem;
using varve::MemoryStorage;
using varve::test::bytes;
using varve::test::read;

TEST_CASE("a memory storage of 2 TiB costs nothing and is one hole") {
  MemoryStorage storage;
  storage.resize(uint64_t{2} << 40);
  CHECK(storage.allocated() == 0);
  const varve::StorageExtent run = storage.extent_at(12345);
  CHECK(run.hole);
  CHECK(run.offset + run.length == uint64_t{2} << 40);
  CHECK(read(storage, (uint64_t{2} << 40) - 100, 100) == bytes(100, 0));
}

TEST_CASE("a memory storage gives back what was written across pages, and tells data from holes") {
  MemoryStorage storage;
  storage.write_at(4090, bytes(20, 7));
  CHECK(storage.size() == 4110);
  CHECK(read(storage, 4089, 21)[0] == std::byte{0});
  CHECK(read(storage, 4090, 20) == bytes(20, 7));
  storage.resize(1 << 20);
  CHECK_FALSE(storage.extent_at(0).hole);
  CHECK(storage.extent_at(0).length == 8192);
  CHECK(storage.extent_at(8192).hole);
  CHECK(storage.extent_at(8192).length == (1 << 20) - 8192);
}

TEST_CASE("reading past the end of a memory storage is corrupt, not zeros") {
  MemoryStorage storage;
  storage.resize(100);
  CHECK_ERRC(read(storage, 90, 11), Errc::corrupt);
  CHECK_ERRC(read(storage, UINT64_MAX, 2), Errc::corrupt);
}

TEST_CASE("a memory storage that shrank and grew again reads as zeros there") {
  MemoryStorage storage;
  storage.write_at(0, bytes(10000, 1));
  storage.resize(5000);
  storage.resize(10000);
  CHECK(read(storage, 4999, 1) == bytes(1, 1));
  CHECK(read(storage, 5000, 5000) == bytes(5000, 0));
}

TEST_CASE("punching a memory storage zeroes exactly the range and frees whole pages") {
  MemoryStorage storage;
  storage.write_at(0, bytes(16384, 1));
  CHECK(storage.punch_hole(100, 12188));
  CHECK(read(storage, 0, 100) == bytes(100, 1));
  CHECK(read(storage, 100, 12188) == bytes(12188, 0));
  CHECK(read(storage, 12288, 4096) == bytes(4096, 1));
  CHECK(storage.allocated() == 8192);
  CHECK(storage.punch_hole(12288, UINT64_MAX));
  CHECK(storage.size() == 16384);
  CHECK(read(storage, 12288, 4096) == bytes(4096, 0));
}

TEST_CASE("a memory storage that is full is no_space and one that is too large is limit") {
  MemoryStorage storage("<m>", 8192, 1 << 20);
  storage.write_at(0, bytes(8192, 1));
  CHECK_ERRC(storage.write_at(8192, bytes(1, 1)), Errc::no_space);
  CHECK(storage.size() == 8192);
  CHECK_ERRC(storage.resize((1 << 20) + 1), Errc::limit);
}

TEST_CASE("many threads may write a memory storage at once") {
  MemoryStorage storage;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (uint64_t i = 0; i < 200; ++i) storage.write_at((i * 4 + static_cast<uint64_t>(t)) * 512, bytes(512, t + 1));
    });
  for (std::thread& thread : threads) thread.join();
  for (uint64_t i = 0; i < 800; ++i) CHECK(read(storage, i * 512, 512) == bytes(512, static_cast<int>(i % 4) + 1));
}

TEST_CASE("a file in memory has its name only when it is published") {
  MemoryFileSystem files;
  auto file = files.create("a", {});
  file->storage()->write_at(0, bytes(3, 1));
  CHECK_ERRC(files.open("a", {}), Errc::not_found);
  file->publish();
  CHECK(files.open("./a", {})->size() == 3);
  CHECK_ERRC(files.create("a", {}), Errc::exists);
  auto second = files.create("a", {.replace = true, .mode = {}});
  second->publish();
  CHECK(files.open("a", {})->size() == 0);
}

TEST_CASE("of two that make the same file in memory one gets exists") {
  MemoryFileSystem files;
  auto one = files.create("a", {});
  auto two = files.create("a", {});
  one->publish();
  CHECK_ERRC(two->publish(), Errc::exists);
}

TEST_CASE("a file in memory that is open for reading cannot be written") {
  MemoryFileSystem files;
  files.add("a", bytes(10, 1));
  auto file = files.open("a", {});
  CHECK_ERRC(file->write_at(0, bytes(1, 2)), Errc::permission);
  CHECK_ERRC(file->resize(0), Errc::permission);
  files.open("a", {.access = varve::Access::read_write})->write_at(0, bytes(1, 2));
  CHECK(read(*file, 0, 1) == bytes(1, 2));
}
