#include "vmdk/new_descriptor.h"

#include <algorithm>
#include <charconv>

#include "varve/error.h"
#include "vmdk/structures.h"
#include "vmdk/text_encoding.h"

namespace varve::vmdk {
namespace {

/// ffffffff and fffffffe mean "none" to readers.
uint32_t draw_cid(RandomSource& random) {
  uint32_t cid = random.u32();
  while (cid >= 0xfffffffe) cid = random.u32();
  return cid;
}

std::string quoted(const std::string& value) {
  if (value.find_first_of("\"\r\n") != std::string::npos || value.find('\0') != std::string::npos)
    throw Error(Errc::invalid_argument, "a quote or a line end in a name can't be stored in a VMDK descriptor").hint("rename the file");
  return '"' + value + '"';
}

using Lines = std::vector<std::string>;

Lines header_lines(const CreatePlan& plan, uint32_t cid, const ParentReference& parent) {
  Lines lines = {"# Disk DescriptorFile",
                 "version=1",
                 "encoding=\"UTF-8\"",
                 "CID=" + cid_text(cid),
                 "parentCID=" + cid_text(parent.cid),
                 "createType=\"" + std::string(subformat_name(plan.subformat)) + '"'};
  if (!parent.name.empty()) lines.push_back("parentFileNameHint=" + quoted(parent.name));
  return lines;
}

std::string entry(const std::string& key, const std::string& value) { return "ddb." + key + " = \"" + value + '"'; }

Lines database_lines(const CreatePlan& plan, uint64_t size, const std::string& content_id) {
  const Geometry geometry = geometry_of(size / kSectorSize, plan.adapter_type);
  Lines lines = {entry("adapterType", plan.adapter_type), entry("geometry.cylinders", std::to_string(geometry.cylinders)),
                 entry("geometry.heads", std::to_string(geometry.heads)), entry("geometry.sectors", std::to_string(geometry.sectors)),
                 entry("longContentID", content_id)};
  if (plan.tools_install_type) lines.push_back(entry("toolsInstallType", std::to_string(*plan.tools_install_type)));
  if (plan.tools_version) lines.push_back(entry("toolsVersion", std::to_string(*plan.tools_version)));
  lines.push_back(entry("virtualHWVersion", std::to_string(plan.hw_version)));
  return lines;
}

/// A text under construction.
class Composer {
 public:
  /// `room`: blank lines where a resize may need a few bytes, see descriptor_places.cc. More than one: what a resize changes lies
  /// in one sector with its room.
  explicit Composer(size_t room) : room_(room) {}

  void add(const Lines& lines) {
    for (const std::string& line : lines) descriptor_.append(line);
  }
  void add_blank(size_t lines) { add(Lines(lines)); }
  void add_room() { add_blank(room_); }

  /// Blank lines until what `changes`, and the room behind it, comes to lie in one sector, `ahead` lines from here.
  void keep_together(const Lines& ahead, const Lines& changes) {
    if (room_ == 1) return;
    const size_t length = size_of(changes) + room_;
    const size_t left = kSectorSize - (descriptor_.text().size() + size_of(ahead)) % kSectorSize;
    if (length > left && length <= kSectorSize) add_blank(left);
  }

  Descriptor take() { return std::move(descriptor_); }

 private:
  static size_t size_of(const Lines& lines) {
    size_t size = 0;
    for (const std::string& line : lines) size += line.size() + 1;
    return size;
  }

  const size_t room_;
  Descriptor descriptor_ = Descriptor::parse({}, Limits{});
};

Descriptor compose(const Lines& header, Lines extents, const Lines& database, size_t room) {
  extents.insert(extents.begin(), "# Extent description");
  const Lines title = {"# The Disk Data Base", "#DDB"};
  Composer text(room);
  text.add(header);
  text.add_blank(1);
  text.keep_together(Lines(extents.begin(), extents.end() - 1), {extents.back()});
  text.add(extents);
  text.add_room();
  text.keep_together(title, {database[0], database[1]});
  text.add(title);
  text.add_room();
  text.add(database);
  return text.take();
}

uint64_t cylinders_of(uint64_t disk_sectors, uint64_t heads, uint64_t sectors, uint64_t most) {
  return std::clamp<uint64_t>(disk_sectors / (heads * sectors), 1, most);
}

uint64_t most_cylinders(const std::string& adapter_type) { return adapter_type == "ide" ? 16383 : 65535; }

/// A stored number of heads or of sectors of a track; 0 if there is none that makes sense.
uint64_t stored_count(const Descriptor& d, const std::string& key) {
  constexpr uint64_t kMost = 255;
  const std::string text = d.get(key).value_or("");
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc{} && end == text.data() + text.size() && value <= kMost ? value : 0;
}

}  // namespace

Geometry geometry_of(uint64_t disk_sectors, const std::string& adapter_type) {
  Geometry g{0, adapter_type == "ide" ? 16U : 255U, 63};
  g.cylinders = cylinders_of(disk_sectors, g.heads, g.sectors, most_cylinders(adapter_type));
  return g;
}

void update_geometry(Descriptor& descriptor, uint64_t disk_sectors) {
  constexpr uint64_t kMostBiosCylinders = 1024;
  const auto update = [&](const std::string& cylinders, const std::string& heads, const std::string& sectors, uint64_t most) {
    const uint64_t h = stored_count(descriptor, heads);
    const uint64_t s = stored_count(descriptor, sectors);
    if (h != 0 && s != 0 && descriptor.has(cylinders)) descriptor.set(cylinders, std::to_string(cylinders_of(disk_sectors, h, s, most)));
  };
  update("ddb.geometry.cylinders", "ddb.geometry.heads", "ddb.geometry.sectors",
         most_cylinders(lower_case(descriptor.get("ddb.adapterType").value_or(""))));
  update("ddb.geometry.biosCylinders", "ddb.geometry.biosHeads", "ddb.geometry.biosSectors", kMostBiosCylinders);
}

Descriptor new_descriptor(const CreatePlan& plan, uint64_t size, const std::vector<ExtentLine>& extents, const ParentReference& parent,
                          RandomSource& random) {
  constexpr size_t kRoom = 8;  // digits
  const uint32_t cid = draw_cid(random);
  // The last eight digits are the CID, also after it changes.
  const std::string content_id = cid_text(random.u32()) + cid_text(random.u32()) + cid_text(random.u32()) + cid_text(cid);
  Lines lines;
  for (const ExtentLine& line : extents) lines.push_back(extent_line_text(line));
  const Lines header = header_lines(plan, cid, parent);
  const Lines database = database_lines(plan, size, content_id);
  Descriptor descriptor = compose(header, lines, database, 1);
  // What stays within a sector needs no room, and a stream keeps its size.
  const bool small = descriptor.text().size() + 2 * kRoom <= kSectorSize;
  return small || plan.subformat == Subformat::stream_optimized ? descriptor : compose(header, std::move(lines), database, kRoom);
}

}  // namespace varve::vmdk
