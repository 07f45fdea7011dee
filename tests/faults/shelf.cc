#include "faults/shelf.h"

#include <algorithm>
#include <map>

#include "faults/shelf_kit.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/secrets.h"
#include "varve/ops.h"
#include "vmdk/header.h"
#include "vmdk/images.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kSplitBytes = uint64_t{2047} << 20;  // of disk in one file of a split image

Subject make_raw() {
  MemoryFileSystem files;
  files.add("disk.raw", disk_content());
  return subject("raw", files, "disk.raw", disk_content());
}

Subject make_vmdk(const std::string& name, const OptionMap& options) {
  MemoryFileSystem files;
  convert_raw(files, "disk.vmdk", options, disk_content());
  return subject(name, files, "disk.vmdk", disk_content());
}

Subject make_delta(const std::string& name, OptionMap options) {
  MemoryFileSystem files;
  convert_raw(files, "base.vmdk", {}, disk_content());
  CreateOptions how;
  how.secret = test_key();
  how.file_system = &files;
  how.parent = "base.vmdk";
  how.options = std::move(options);
  Image::create("disk.vmdk", "vmdk", std::nullopt, how).close();
  Subject disk = subject(name, files, "disk.vmdk", disk_content());
  write_piece(files, disk, 70 * kKiB, 8 * kKiB);
  return disk;
}

/// Two files, with data on both sides of the border.
Subject make_split() {
  constexpr uint64_t kBefore = 96 * kKiB;
  constexpr uint64_t kBehind = 128 * kKiB;
  MemoryFileSystem files;
  create_image(files, "disk.vmdk", "vmdk", kSplitBytes + kBehind, {{"subformat", "twoGbMaxExtentSparse"}});
  Subject disk = subject("twoGbMaxExtentSparse, two files", files, "disk.vmdk", std::vector<std::byte>(kBefore + kBehind));
  disk.window = kSplitBytes - kBefore;
  write_piece(files, disk, 50 * kKiB, 100 * kKiB);
  return disk;
}

/// Of two grain tables.
Subject make_larger() {
  constexpr uint64_t kSize = 2048 * kKiB + 64 * kKiB;
  MemoryFileSystem files;
  create_image(files, "disk.vmdk", "vmdk", kSize, {{"grain_size", "4K"}});
  Subject disk = subject("two tables", files, "disk.vmdk", std::vector<std::byte>(kSize));
  write_piece(files, disk, 40 * kKiB, 20 * kKiB);
  return disk;
}

// ---- damage --------------------------------------------------------------------------------------

/// The sparse image with something broken in it.
class Patient {
 public:
  explicit Patient(const std::string& name, Subject disk = vmdk_disk("monolithicSparse"))
      : disk_(std::move(disk)), file_(disk_.files->at("disk.vmdk").whole()) {
    disk_.name = name;
    header_ = vmdk::parse_sparse_header(file_, file_.size(), Limits{});
  }
  void mark_unclean() { put(file_, offsetof(vmdk::SparseHeaderRaw, unclean_shutdown), 1, 1); }
  void lose_table() { put(file_, header_.gd_sector * 512, 0, 4); }
  void spoil_entry(uint64_t directory_sector, uint64_t grain, uint64_t value) {
    put(file_, get(file_, directory_sector * 512, 4) * 512 + grain * 4, value, 4);
  }
  uint64_t primary() const { return header_.gd_sector; }
  uint64_t redundant() const { return header_.rgd_sector; }
  void lose_grain(uint64_t grain) {
    spoil_entry(primary(), grain, 0x00ffffff);
    spoil_entry(redundant(), grain, 0x00ffffff);
    std::fill_n(disk_.content.begin() + static_cast<ptrdiff_t>(grain * 64 * kKiB), 64 * kKiB, std::byte{0});
  }
  Subject done(Repair needs) {
    disk_.needs = needs;
    FileSet files = *disk_.files;
    files["disk.vmdk"] = file_;
    disk_.files = std::make_shared<const FileSet>(std::move(files));
    return disk_;
  }

 private:
  Subject disk_;
  std::vector<std::byte> file_;
  vmdk::SparseHeader header_;
};

std::vector<Subject> make_damaged() {
  std::vector<Subject> all;
  Patient stale("an entry of one copy is bad");
  stale.spoil_entry(stale.primary(), 0, 0x00ffffff);
  all.push_back(stale.done(Repair::safe));
  Patient table("a table has no place in one directory", make_larger());
  table.lose_table();
  all.push_back(table.done(Repair::safe));
  Patient crashed("the copies differ after a crash");
  crashed.mark_unclean();
  crashed.spoil_entry(crashed.primary(), 2, 0);
  all.push_back(crashed.done(Repair::safe));
  Patient grain("a grain lies nowhere");
  grain.mark_unclean();
  grain.lose_grain(2);
  all.push_back(grain.done(Repair::all));
  for (const Subject& disk : damaged_vhdx_disks()) all.push_back(disk);
  return all;
}

std::vector<Subject> make_foreign() {
  const auto sectors = static_cast<uint32_t>(kDiskSize / 512);
  const auto make = [](const std::string& name, const Bytes& image, Bytes content) {
    MemoryFileSystem files;
    files.add("disk.vmdk", image);
    return subject(name, files, "disk.vmdk", std::move(content));
  };
  const auto content_of = [](uint64_t grain_bytes, const std::map<uint64_t, Bytes>& grains) {
    Bytes content(kDiskSize);
    for (const auto& [grain, data] : grains)
      std::copy(data.begin(), data.end(), content.begin() + static_cast<ptrdiff_t>(grain * grain_bytes));
    return content;
  };
  const std::map<uint64_t, Bytes> small = {{0, pattern(512, 1)}, {1, pattern(512, 2)}, {300, pattern(512, 3)}};
  const std::map<uint64_t, Bytes> middle = {{0, pattern(4096, 1)}, {5, pattern(4096, 2)}, {40, pattern(4096, 3)}};
  const std::map<uint64_t, Bytes> large = {{0, pattern(65536, 1)}, {2, pattern(65536, 2)}};
  SeSparse se;
  se.sectors = sectors;
  se.grains = middle;
  Stream stream;
  stream.sectors = sectors;
  stream.grains = large;
  Stream in_front = stream;
  in_front.footer = false;
  return {make("COWD", cowd_image(sectors, small), content_of(512, small)), make("seSparse", sesparse_image(se), content_of(4096, middle)),
          make("stream with a footer", stream_image(stream), content_of(65536, large)),
          make("stream with the directory in front", stream_image(in_front), content_of(65536, large))};
}

/// The format that a file is of, by the end of its name.
std::string format_of(const std::string& image) { return image.substr(image.find('.') + 1); }

}  // namespace

// ---- shelf_kit.h -----------------------------------------------------------------------------------

FileSet take(MemoryFileSystem& files) {
  FileSet all;
  for (const std::string& path : files.paths()) all.emplace(path, FileBytes(*files.find(path)));
  return all;
}

Subject subject(std::string name, MemoryFileSystem& files, std::string image, std::vector<std::byte> content) {
  Subject made;
  made.name = std::move(name);
  made.image = std::move(image);
  made.format = format_of(made.image);
  made.content = std::move(content);
  OpenOptions how;
  how.format = made.format;
  how.secret = test_key();
  how.file_system = &files;
  how.ignore_parent = true;
  made.own = Image::open(made.image, how).info().files;
  made.files = std::make_shared<const FileSet>(take(files));
  return made;
}

void convert_raw(MemoryFileSystem& files, const std::string& image, const OptionMap& options, const std::vector<std::byte>& content) {
  files.add("source", content);
  ConvertOptions how;
  how.source_format = "raw";
  how.target_format = format_of(image);
  how.open.secret = test_key();
  how.open.file_system = &files;
  how.create.secret = test_key();
  how.create.file_system = &files;
  how.create.options = options;
  how.copy.threads = 1;
  convert("source", image, how);
  files.remove("source");
}

void write_piece(MemoryFileSystem& files, Subject& disk, uint64_t at, size_t length) {
  OpenOptions how;
  how.access = Access::read_write;
  how.format = disk.format;
  how.secret = test_key();
  how.file_system = &files;
  Image image = Image::open(disk.image, how);
  const auto data = pattern(disk.window + at, 5, length);
  image.write_at(disk.window + at, data);
  image.close();
  std::copy(data.begin(), data.end(), disk.content.begin() + static_cast<ptrdiff_t>(at));
  disk.files = std::make_shared<const FileSet>(take(files));
}

// ---- shelf.h ---------------------------------------------------------------------------------------

const std::vector<std::byte>& disk_content() {
  static const std::vector<std::byte> content = [] {
    auto bytes = pattern(0, 4, kDiskSize);
    std::fill_n(bytes.begin() + 64 * kKiB, 64 * kKiB, std::byte{0});
    return bytes;
  }();
  return content;
}

const Subject& raw_disk() {
  static const Subject disk = make_raw();
  return disk;
}

const Subject& vmdk_disk(const std::string& subformat) {
  static std::map<std::string, Subject> all;  // NOLINT: made when asked for
  auto found = all.find(subformat);
  if (found == all.end()) found = all.emplace(subformat, make_vmdk(subformat, {{"subformat", subformat}})).first;
  return found->second;
}

const std::vector<Subject>& writable_disks() {
  const OptionMap zeroed = {{"zeroed_grain", "on"}, {"grain_size", "4K"}};
  static const std::vector<Subject> all = [&] {
    std::vector<Subject> disks = {raw_disk(),
                                  vmdk_disk("monolithicSparse"),
                                  make_vmdk("monolithicSparse, zeroed 4 KiB grains", zeroed),
                                  make_delta("delta", {}),
                                  make_delta("delta, zeroed 4 KiB grains", zeroed),
                                  make_delta("split delta", {{"subformat", "twoGbMaxExtentSparse"}}),
                                  make_split(),
                                  vmdk_disk("monolithicFlat"),
                                  vmdk_disk("twoGbMaxExtentFlat"),
                                  vmdk_disk("vmfs")};
    disks.insert(disks.end(), vhdx_disks().begin(), vhdx_disks().end());
    disks.insert(disks.end(), native_disks().begin(), native_disks().end());
    return disks;
  }();
  return all;
}

const std::vector<Subject>& foreign_disks() {
  static const std::vector<Subject> all = make_foreign();
  return all;
}

const std::vector<Subject>& damaged_disks() {
  static const std::vector<Subject> all = make_damaged();
  return all;
}

}  // namespace varve::test
