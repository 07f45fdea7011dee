#include "crash/format_rules.h"

#include <cctype>
#include <sstream>
#include <stdexcept>
#include <variant>

#include "native/reachable.h"
#include "native/superblock.h"
#include "support/bytes.h"
#include "support/image_kit.h"

namespace varve::test {

namespace {

/// The lines of a descriptor that say something, without the numbers that may change.
std::vector<std::string> constant_lines(FileSystem& files, Image& /*image*/) {
  std::vector<std::string> lines;
  std::istringstream in(descriptor_text(files));
  for (std::string line; std::getline(in, line);) {
    const bool changes = line.starts_with("RW ") || line.starts_with("CID=") || line.starts_with("ddb.longContentID") ||
                         line.starts_with("ddb.geometry.cylinders");
    if (changes) std::erase_if(line, [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; });
    if (!line.empty()) lines.push_back(line);
  }
  return lines;
}

/// What the metadata of a VHDX says, but for the size.
std::vector<std::string> constant_items(FileSystem& /*files*/, Image& image) {
  std::vector<std::string> lines;
  for (const char* key : {"subformat", "block_size", "logical_sector_size", "physical_sector_size", "disk_id", "log_size", "creator"})
    lines.push_back(std::string(key) + ": " + detail(image, key));
  const auto parent = image.info().parent;
  lines.push_back(parent ? "over " + parent->name + ", " + parent->identity : "without a parent");
  return lines;
}

std::vector<std::string> constant_features(FileSystem& /*files*/, Image& image) {
  std::vector<std::string> lines;
  for (const char* key : {"image_uuid", "compression", "unit"}) lines.push_back(std::string(key) + ": " + detail(image, key));
  const auto parent = image.info().parent;
  lines.push_back(parent ? "over " + parent->name + ", " + parent->identity : "without a parent");
  return lines;
}

/// A superblock that was being written when the power failed can't be told from one that was damaged later, so check names it.
bool torn_superblock(const std::string& damage, const CutState& state) {
  const bool torn = state.torn == native::superblock_offset(0) || state.torn == native::superblock_offset(1);
  return torn && (damage.starts_with("the other superblock does not count: its tag is wrong") ||
                  damage.starts_with("the other superblock does not count: it has no magic"));
}

std::string leaks_of_native(FileSystem& files) { return leaks_of_closed(files.open(TestDisk::kPath, {})); }

}  // namespace

const FormatRules& rules_of(const std::string& format) {
  static const FormatRules native{"generation", constant_features, torn_superblock, true, leaks_of_native};
  static const FormatRules vmdk{"cid", constant_lines};
  static const FormatRules vhdx{"data_write_guid", constant_items};
  if (format == "varve") return native;
  if (format == "vmdk") return vmdk;
  if (format == "vhdx") return vhdx;
  throw std::invalid_argument("no rules for " + format);
}

std::string detail(Image& image, const std::string& key) {
  for (const auto& [name, value] : image.info().details) {
    if (name != key) continue;
    if (const auto* text = std::get_if<std::string>(&value)) return *text;
    if (const auto* flag = std::get_if<bool>(&value)) return *flag ? "yes" : "no";
    return std::to_string(std::get<uint64_t>(value));
  }
  return {};
}

std::string identity_of(Image& image) { return detail(image, rules_of(std::string(image.format().name)).identity); }

bool has_embedded_text(const Storage& file) { return file.size() > kDescriptorArea; }

std::string descriptor_text(FileSystem& files) {
  const auto file = files.open(TestDisk::kPath, {});
  const bool embedded = has_embedded_text(*file);
  const std::vector<std::byte> bytes = read(*file, embedded ? 512 : 0, embedded ? kDescriptorArea : file->size());
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return text.substr(0, text.find('\0'));
}

}  // namespace varve::test
