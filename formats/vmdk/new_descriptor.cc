#include "vmdk/new_descriptor.h"

#include <algorithm>

#include "varve/error.h"
#include "vmdk/structures.h"

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

void append_header(Descriptor& d, const CreatePlan& plan, uint32_t cid, const ParentReference& parent) {
  d.append("# Disk DescriptorFile");
  d.append("version=1");
  d.append("encoding=\"UTF-8\"");
  d.append("CID=" + cid_text(cid));
  d.append("parentCID=" + cid_text(parent.cid));
  d.append("createType=\"" + std::string(subformat_name(plan.subformat)) + '"');
  if (!parent.name.empty()) d.append("parentFileNameHint=" + quoted(parent.name));
}

void append_database(Descriptor& d, const CreatePlan& plan, uint64_t size, const std::string& content_id) {
  const Geometry geometry = geometry_of(size / kSectorSize, plan.adapter_type);
  const auto entry = [&](const std::string& key, const std::string& value) { d.append("ddb." + key + " = \"" + value + '"'); };
  d.append("");
  d.append("# The Disk Data Base");
  d.append("#DDB");
  d.append("");
  entry("adapterType", plan.adapter_type);
  entry("geometry.cylinders", std::to_string(geometry.cylinders));
  entry("geometry.heads", std::to_string(geometry.heads));
  entry("geometry.sectors", std::to_string(geometry.sectors));
  entry("longContentID", content_id);
  if (plan.tools_install_type) entry("toolsInstallType", std::to_string(*plan.tools_install_type));
  if (plan.tools_version) entry("toolsVersion", std::to_string(*plan.tools_version));
  entry("virtualHWVersion", std::to_string(plan.hw_version));
}

}  // namespace

Geometry geometry_of(uint64_t disk_sectors, const std::string& adapter_type) {
  const bool ide = adapter_type == "ide";
  Geometry g{0, ide ? 16U : 255U, 63};
  g.cylinders = std::clamp<uint64_t>(disk_sectors / (g.heads * g.sectors), 1, ide ? 16383 : 65535);
  return g;
}

Descriptor new_descriptor(const CreatePlan& plan, uint64_t size, const std::vector<ExtentLine>& extents, const ParentReference& parent,
                          RandomSource& random) {
  Descriptor d = Descriptor::parse({}, Limits{});
  const uint32_t cid = draw_cid(random);
  // The last eight digits are the CID, also after it changes.
  const std::string content_id = cid_text(random.u32()) + cid_text(random.u32()) + cid_text(random.u32()) + cid_text(cid);
  append_header(d, plan, cid, parent);
  d.append("");
  d.append("# Extent description");
  for (const ExtentLine& line : extents) d.append(extent_line_text(line));
  append_database(d, plan, size, content_id);
  return d;
}

}  // namespace varve::vmdk
