// VHDX for the scripts. Their blocks have 1 MiB at least, so the scripts see a disk of two through a window of 192 KiB around the border:
// 128 KiB of the first block, and all that there is of the second.
#include <algorithm>
#include <map>
#include <stdexcept>

#include "faults/shelf_kit.h"
#include "support/pattern.h"
#include "vhdx/header.h"
#include "vhdx/structures.h"

namespace varve::test {
namespace {

using vhdx::kKiB;
using vhdx::kMiB;

constexpr uint64_t kWindow = kMiB - 128 * kKiB;
constexpr uint64_t kWideSize = kMiB + 64 * kKiB;
// Where the writer puts things.
constexpr uint64_t kTable = 3 * kMiB;
constexpr uint64_t kBlocks = 5 * kMiB;

const OptionMap kSmallBlocks = {{"block_size", "1M"}};

std::vector<std::byte> wide_content() {
  std::vector<std::byte> bytes(kWideSize);
  const auto fill = [&](uint64_t at, size_t length) { fill_pattern(at, 4, MutableBytes(bytes).subspan(at, length)); };
  fill(0, 3 * kKiB);
  fill(kWindow, 64 * kKiB);
  fill(kMiB, kWideSize - kMiB);
  return bytes;
}

/// What the steps of a session see.
Subject through_window(Subject disk) {
  disk.content.erase(disk.content.begin(), disk.content.begin() + static_cast<ptrdiff_t>(kWindow));
  disk.window = kWindow;
  return disk;
}

Subject make_vhdx(const std::string& subformat) {
  MemoryFileSystem files;
  OptionMap options = kSmallBlocks;
  options["subformat"] = subformat;
  convert_raw(files, "disk.vhdx", options, wide_content());
  return subject("VHDX " + subformat, files, "disk.vhdx", wide_content());
}

/// A block that is here in part, and one that is the parent's.
Subject make_child() {
  MemoryFileSystem files;
  convert_raw(files, "base.vhdx", kSmallBlocks, wide_content());
  CreateOptions how;
  how.file_system = &files;
  how.parent = "base.vhdx";
  how.options = kSmallBlocks;
  Image::create("disk.vhdx", "vhdx", std::nullopt, how).close();
  Subject disk = through_window(subject("VHDX child", files, "disk.vhdx", wide_content()));
  write_piece(files, disk, 70 * kKiB, 8 * kKiB);
  return disk;
}

/// As a power cut leaves it right after a flush: the table knows the blocks only by way of the log.
Subject make_pending() {
  MemoryFileSystem files;
  OpenOptions how;
  how.format = "vhdx";
  how.access = Access::read_write;
  how.file_system = &files;
  convert_raw(files, "disk.vhdx", kSmallBlocks, std::vector<std::byte>(kWideSize));
  const std::vector<std::byte> before = files.find("disk.vhdx")->contents();
  Image image = Image::open("disk.vhdx", how);
  image.write_at(0, wide_content());
  image.flush();
  const auto cut = std::make_shared<MemoryStorage>("disk.vhdx", ConstBytes(files.find("disk.vhdx")->contents()));
  cut->write_at(kTable, ConstBytes(before).subspan(kTable, kBlocks - kTable));
  image.close();
  files.add("disk.vhdx", cut);
  how.access = Access::read_only;
  const ImageInfo info = Image::open("disk.vhdx", how).info();
  if (std::find(info.details.begin(), info.details.end(), std::pair<std::string, InfoValue>("log_pending", true)) == info.details.end())
    throw std::logic_error("the log is not pending");
  return subject("VHDX with a pending log", files, "disk.vhdx", wide_content());
}

// ---- damage --------------------------------------------------------------------------------------

Subject changed(Subject disk, const std::string& name, Repair needs, const std::function<void(std::vector<std::byte>&)>& change) {
  std::vector<std::byte> file = disk.files->at("disk.vhdx").whole();
  change(file);
  FileSet files = *disk.files;
  files["disk.vhdx"] = file;
  disk.files = std::make_shared<const FileSet>(std::move(files));
  disk.name = name;
  disk.needs = needs;
  return disk;
}

/// The copy of the header that counts, and the copy of the region table that is looked at first.
void tear_copies(std::vector<std::byte>& file) {
  MemoryStorage storage("disk.vhdx", file);
  file[vhdx::kHeaderOffsets.at(vhdx::read_headers(storage).current) + 2000] ^= std::byte{1};
  file[vhdx::kRegionTableOffsets[0] + 30000] ^= std::byte{1};
}

/// The second block, far outside.
void lose_block(std::vector<std::byte>& file) { file.at(kTable + 8 + 4) = std::byte{1}; }

std::vector<Subject> make_damaged() {
  const Subject dynamic = through_window(vhdx_disk("dynamic"));
  Subject lost = changed(dynamic, "a block lies nowhere", Repair::all, lose_block);
  std::fill(lost.content.begin() + (kMiB - kWindow), lost.content.end(), std::byte{0});
  return {changed(dynamic, "torn copies of header and region table", Repair::safe, tear_copies),
          changed(through_window(make_pending()), "torn copies and a pending log", Repair::safe, tear_copies), lost};
}

}  // namespace

const Subject& wide_raw_disk() {
  static const Subject disk = [] {
    MemoryFileSystem files;
    files.add("disk.raw", wide_content());
    return subject("raw of 1 MiB", files, "disk.raw", wide_content());
  }();
  return disk;
}

const Subject& vhdx_disk(const std::string& subformat) {
  static std::map<std::string, Subject> all;  // NOLINT: made when asked for
  auto found = all.find(subformat);
  if (found == all.end()) found = all.emplace(subformat, make_vhdx(subformat)).first;
  return found->second;
}

const std::vector<Subject>& vhdx_disks() {
  static const std::vector<Subject> all = {through_window(vhdx_disk("dynamic")), through_window(vhdx_disk("fixed")), make_child(),
                                           through_window(make_pending())};
  return all;
}

const std::vector<Subject>& damaged_vhdx_disks() {
  static const std::vector<Subject> all = make_damaged();
  return all;
}

}  // namespace varve::test
