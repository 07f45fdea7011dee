// A VHDX whose log holds anything: replay in memory and into the file are what a plain replay makes of the entries that count, nothing but
// the places that they name changes, and the disk that is shown before the log goes into the file is the one that is shown afterwards.
#include <algorithm>

#include "shadow.h"
#include "sparse_input.h"
#include "target.h"
#include "varve/image.h"
#include "vhdx/header.h"
#include "vhdx/log.h"
#include "vhdx/replayed_storage.h"

namespace varve::fuzz {

const char* const kTargetName = "vhdx_log";

namespace {

constexpr uint64_t kMaxDisk = 4 << 20;

/// Entry by entry onto a copy.
std::shared_ptr<MemoryStorage> replay_plainly(Storage& before, const vhdx::PendingLog& log) {
  std::shared_ptr<MemoryStorage> file = copy_of(before);
  file->resize(std::max(file->size(), log.file_size()));
  vhdx::visit(log, {.data = [&](uint64_t offset, ConstBytes sector) { file->write_at(offset, sector); },
                    .zero = [&](uint64_t offset, uint64_t length) { file->punch_hole(offset, length); }});
  return file;
}

/// Both hold the same where one of them holds anything.
void compare_where(Storage& with_data, Storage& a, Storage& b) {
  std::vector<std::byte> of_a(64 << 10);
  std::vector<std::byte> of_b(of_a.size());
  for (uint64_t offset = 0; offset < with_data.size();) {
    const StorageExtent run = with_data.extent_at(offset);
    const uint64_t length = run.hole ? run.length : std::min<uint64_t>(run.length, of_a.size());
    if (!run.hole) {
      a.read_at(offset, MutableBytes(of_a).first(length));
      b.read_at(offset, MutableBytes(of_b).first(length));
      require(same_bytes(ConstBytes(of_a).first(length), ConstBytes(of_b).first(length)),
              "replay in memory differs at byte " + std::to_string(offset));
    }
    offset += length;
  }
}

void replay(const std::shared_ptr<MemoryStorage>& file) {
  const FileState before(*file);
  const vhdx::Headers headers = vhdx::read_headers(*file);
  const vhdx::PendingLog log = vhdx::read_log(*file, headers.header(), Limits{});
  if (log.empty()) return;
  const auto expected = replay_plainly(*file, log);
  vhdx::ReplayedStorage replayed(file, log);
  require(replayed.size() == expected->size(), "replay in memory makes a file of another size");
  compare_where(*expected, *expected, replayed);
  compare_where(*file, *expected, replayed);
  require(FileState(*file) == before, "replay in memory changed the file");
  replayed.write_into_file();
  require(FileState(*file) == FileState(*expected), "replay into the file differs");
}

std::string data_guid(const Image& image) {
  for (const auto& [key, value] : image.info().details)
    if (key == "data_write_guid") return std::get<std::string>(value);
  return {};
}

void open_twice(const MemoryImage& file) {
  const FileState before(*file.storage());
  std::string guid;
  Shadow shadow(0);
  {
    Image image = file.open(Access::read_only);
    guid = data_guid(image);
    if (image.size() > kMaxDisk) return;
    shadow = Shadow::of(image);
    image.close();
  }
  require(FileState(*file.storage()) == before, "opening for reading changed the file");
  Image image = file.open(Access::read_write);
  require(data_guid(image) == guid, "replay gave the disk another identity");
  shadow.compare(image, "by replay");
  image.close();
  Image again = file.open(Access::read_only);
  shadow.compare(again, "after replay");
}

}  // namespace

void run(std::span<const uint8_t> input) {
  only_errors([&] { replay(SparseInput(input).file); });
  const SparseInput parts(input);
  only_errors([&] { open_twice(MemoryImage(parts.file, "vhdx", tight_limits(parts.tail.empty() ? 0 : parts.tail.back()))); });
}

}  // namespace varve::fuzz
