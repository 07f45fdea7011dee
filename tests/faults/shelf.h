// The images that the scripts work on: small, one of each kind, made once. VHDX, whose blocks are never small, are in
// vhdx_shelf.cc, varve images in native_shelf.cc.
#ifndef VARVE_TESTS_FAULTS_SHELF_H
#define VARVE_TESTS_FAULTS_SHELF_H

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "faults/bench.h"
#include "varve/check.h"
#include "varve/format.h"
#include "varve/limits.h"

namespace varve::test {

/// Three grains of 64 KiB, of which the second holds nothing, and a part of a fourth.
inline constexpr uint64_t kDiskSize = 3 * 65536 + 3 * 512;

/// A disk, and the files that it consists of.
struct Subject {
  std::string name;
  std::shared_ptr<const FileSet> files;
  std::string image;  ///< the file to open
  std::string format;
  std::vector<std::byte> content;                 ///< of the disk, from `window` to its end
  uint64_t window = 0;                            ///< what lies before it is never written to
  std::vector<std::string> own;                   ///< the files of the image, without its parents'
  Repair needs = Repair::none;                    ///< the image is damaged, and has `content` once it is repaired
  uint64_t write_buffer = Limits().write_buffer;  ///< that a session has
};

const std::vector<std::byte>& disk_content();
const Subject& raw_disk();
/// Of the VMDK subformats, made by conversion from raw_disk(). "streamOptimized" included.
const Subject& vmdk_disk(const std::string& subformat);
/// Of two blocks of 1 MiB, with data in both: as raw, and made from it by conversion: "dynamic", "fixed".
const Subject& wide_raw_disk();
const Subject& vhdx_disk(const std::string& subformat);
/// The VHDX among writable_disks(): seen through a window around the border of the blocks, behind which each takes its part of the steps.
/// A child and one whose log has to be replayed among them.
const std::vector<Subject>& vhdx_disks();
const std::vector<Subject>& damaged_vhdx_disks();
/// The varve images among writable_disks(); a child and one with a journal that has to be replayed among them.
const std::vector<Subject>& native_disks();
/// A varve image with snapshots, and what each holds.
struct NativeTree {
  Subject disk;
  std::map<std::string, std::vector<std::byte>> snapshots;
};
const std::vector<NativeTree>& native_trees();
/// All that can be written to; deltas and a disk that is split in two among them.
const std::vector<Subject>& writable_disks();
/// Formats that are only read: COWD, seSparse, streams of other shapes.
const std::vector<Subject>& foreign_disks();
const std::vector<Subject>& damaged_disks();

}  // namespace varve::test

#endif
