// What a power cut must leave alone beside a disk's content, format by format.
#ifndef VARVE_TESTS_CRASH_FORMAT_RULES_H
#define VARVE_TESTS_CRASH_FORMAT_RULES_H

#include <cstdint>
#include <string>
#include <vector>

#include "io/file_system.h"
#include "support/power_cut.h"
#include "varve/image.h"

namespace varve::test {

struct FormatRules {
  /// The detail of info() by which children know the content: another once it has changed.
  const char* identity;
  /// What no script and no cut changes, of the image at TestDisk::kPath, as lines of text.
  std::vector<std::string> (*constants)(FileSystem& files, Image& image);
  /// Is this what a check has to say of such a state, though nothing is lost?
  bool (*excused)(const std::string& damage, const CutState& state) = [](const std::string&, const CutState&) { return false; };
  /// Every flush is there as a whole or not at all, and nothing that came after the last one.
  bool atomic = false;
  /// Of a closed image: what is wrong with its space, or an empty string.
  std::string (*leaks)(FileSystem& files) = [](FileSystem&) { return std::string(); };
};

const FormatRules& rules_of(const std::string& format);

/// As `info` shows it; empty if there is none of that name.
std::string detail(Image& image, const std::string& key);
/// What the rules of its format call so.
std::string identity_of(Image& image);

/// Of a VMDK: bytes that an embedded descriptor may take, from the second sector on.
inline constexpr uint64_t kDescriptorArea = 20 * 512;
bool has_embedded_text(const Storage& file);
/// Of the VMDK at TestDisk::kPath, wherever it lies.
std::string descriptor_text(FileSystem& files);

}  // namespace varve::test

#endif
