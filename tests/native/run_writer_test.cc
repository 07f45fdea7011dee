// Extents that lie behind each other are written at once.
#include "native/run_writer.h"

#include <vector>

#include "io/memory_storage.h"
#include "support/storages.h"
#include "support/test.h"

namespace varve::test {
namespace {

/// Counts what reaches the file.
class Counting final : public PassingStorage {
 public:
  using PassingStorage::PassingStorage;
  void write_at(uint64_t offset, ConstBytes data) override {
    lengths.push_back(data.size());
    PassingStorage::write_at(offset, data);
  }
  std::vector<size_t> lengths;
};

TEST_CASE("runs in the file are written at once, wherever they come from") {
  const auto memory = std::make_shared<MemoryStorage>("runs");
  Counting file(memory);
  std::vector<std::byte> data(64);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i + 1);
  const ConstBytes all = data;
  native::RunWriter run(file);
  run.add(100, all.subspan(0, 8));
  run.add(108, all.subspan(8, 8));   // behind it in memory, too
  run.add(116, all.subspan(32, 8));  // from elsewhere
  run.add(124, all.subspan(40, 4));
  run.add(200, all.subspan(50, 4));  // another place
  CHECK(file.lengths == std::vector<size_t>{28});
  run.finish();
  run.finish();
  CHECK(file.lengths == std::vector<size_t>{28, 4});
  std::vector<std::byte> found(28);
  memory->read_at(100, found);
  std::vector<std::byte> expected(data.begin(), data.begin() + 16);
  expected.insert(expected.end(), data.begin() + 32, data.begin() + 44);
  CHECK(found == expected);
  memory->read_at(200, MutableBytes(found).first(4));
  CHECK(found[0] == data[50]);
}

}  // namespace
}  // namespace varve::test
