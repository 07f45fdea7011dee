// Varve images for the scripts.
#include "faults/shelf_kit.h"
#include "support/pattern.h"
#include "support/secrets.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;
/// Clusters are written long before a flush.
constexpr uint64_t kSmallBuffer = 4 * kKiB;

OptionMap small_journal(OptionMap options) {
  options.emplace("journal_size", "128K");
  return options;
}

Subject make_native(const std::string& name, const OptionMap& options) {
  MemoryFileSystem files;
  convert_raw(files, "disk.varve", small_journal(options), disk_content());
  return subject(name, files, "disk.varve", disk_content());
}

Subject make_child() {
  MemoryFileSystem files;
  convert_raw(files, "base.vmdk", {}, disk_content());
  CreateOptions how;
  how.secret = test_key();
  how.file_system = &files;
  how.parent = "base.vmdk";
  how.parent_format = "vmdk";
  how.options = small_journal({{"cluster_size", "16K"}, {"compression", "zstd:1"}});
  Image::create("disk.varve", "varve", std::nullopt, how).close();
  Subject disk = subject("varve child", files, "disk.varve", disk_content());
  write_piece(files, disk, 70 * kKiB, 8 * kKiB);
  return disk;
}

/// As a kill leaves it after a flush: the last write is in the journal only.
Subject make_pending() {
  MemoryFileSystem files;
  convert_raw(files, "disk.varve", small_journal({{"cluster_size", "4K"}}), disk_content());
  std::vector<std::byte> content = disk_content();
  OpenOptions how;
  how.format = "varve";
  how.access = Access::read_write;
  how.secret = test_key();
  how.file_system = &files;
  {
    Image image = Image::open("disk.varve", how);
    for (const uint64_t at : {20 * kKiB, 72 * kKiB, 20 * kKiB + 512}) {
      const auto data = pattern(at, 6, 3000);
      image.write_at(at, data);
      std::copy(data.begin(), data.end(), content.begin() + static_cast<ptrdiff_t>(at));
      image.flush();
    }
  }
  return subject("varve with a journal", files, "disk.varve", content);
}

/// "side" and the head are both based on "base", and each has something of its own.
NativeTree make_tree(const std::string& name, const OptionMap& options) {
  MemoryFileSystem files;
  convert_raw(files, "disk.varve", small_journal(options), disk_content());
  NativeTree tree;
  tree.disk = subject(name, files, "disk.varve", disk_content());
  OpenOptions how;
  how.format = "varve";
  how.access = Access::read_write;
  how.secret = test_key();
  how.file_system = &files;
  const auto keep = [&](const char* snapshot) {
    Image::open("disk.varve", how).create_snapshot(snapshot, 1);
    tree.snapshots[snapshot] = tree.disk.content;
  };
  keep("base");
  write_piece(files, tree.disk, 30 * kKiB, 9000);
  keep("side");
  Image::open("disk.varve", how).revert_to_snapshot("base");
  tree.disk.content = tree.snapshots["base"];
  write_piece(files, tree.disk, 100 * kKiB, 9000);
  return tree;
}

}  // namespace

const std::vector<Subject>& native_disks() {
  static const std::vector<Subject> all = [] {
    std::vector<Subject> disks = {make_native("varve 4 KiB", {{"cluster_size", "4K"}}),
                                  make_native("varve zlib", {{"cluster_size", "64K"}, {"compression", "zlib:1"}}),
                                  make_native("varve encrypted", {{"cluster_size", "4K"}, {"encryption", "aes-256-gcm"}}), make_child(),
                                  make_pending()};
    for (Subject& disk : disks)
      if (disk.name == "varve zlib" || disk.name == "varve child") disk.write_buffer = kSmallBuffer;
    return disks;
  }();
  return all;
}

const std::vector<NativeTree>& native_trees() {
  static const std::vector<NativeTree> all = [] {
    std::vector<NativeTree> trees = {make_tree("varve 4 KiB tree", {{"cluster_size", "4K"}, {"compression", "zstd:1"}}),
                                     make_tree("varve encrypted tree", {{"cluster_size", "4K"}, {"encryption", "aes-256-gcm"}}),
                                     make_tree("varve 64 KiB tree without a journal", {{"cluster_size", "64K"}, {"journal_size", "0"}})};
    trees.back().disk.write_buffer = kSmallBuffer;
    return trees;
  }();
  return all;
}

}  // namespace varve::test
