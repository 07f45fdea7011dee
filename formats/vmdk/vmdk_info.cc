// What `info` says of a VMDK. The keys are stable: scripts read them.
#include <array>
#include <set>
#include <string>
#include <utility>

#include "vmdk/structures.h"
#include "vmdk/vmdk_image.h"

namespace varve::vmdk {
namespace {

/// Keys of the descriptor that are shown, and how.
constexpr std::array<std::pair<const char*, const char*>, 9> kShown{{
    {"ddb.adapterType", "adapter_type"},
    {"ddb.virtualHWVersion", "hw_version"},
    {"ddb.toolsVersion", "tools_version"},
    {"ddb.toolsInstallType", "tools_install_type"},
    {"ddb.longContentID", "long_content_id"},
    {"ddb.uuid", "uuid"},
    {"ddb.thinProvisioned", "thin_provisioned"},
    {"encoding", "encoding"},
    {"changeTrackPath", "change_track_path"},
}};

std::string subformat_of(const ImageParts& parts) {
  if (parts.descriptor) {
    std::string type = parts.descriptor->descriptor().create_type();
    if (!type.empty()) return type;
  }
  const auto& header = parts.parts.front().header;
  if (!header) return std::string(extent_type_name(parts.parts.front().line.type));
  return header->compressed() ? "streamOptimized" : "monolithicSparse";
}

}  // namespace

void VmdkImage::add_details(ImageInfo& info) const {
  auto& details = info.details;
  details.emplace_back("subformat", subformat_of(parts_));
  if (parts_.descriptor) {
    const Descriptor& d = parts_.descriptor->descriptor();
    if (const auto cid = d.cid()) details.emplace_back("cid", cid_text(*cid));
    if (const auto cid = d.parent_cid()) details.emplace_back("parent_cid", cid_text(*cid));
    for (const auto& [key, name] : kShown)
      if (const auto value = d.get(key)) details.emplace_back(name, d.to_utf8(*value));
  }
  if (const auto& header = parts_.parts.front().header) {
    details.emplace_back("version", uint64_t{header->version});
    details.emplace_back("grain_size", header->grain_bytes());
    details.emplace_back("compressed", header->compressed());
    details.emplace_back("zeroed_grains", header->has_zeroed_grains());
    details.emplace_back("unclean", header->unclean);
  }
  details.emplace_back("extents", uint64_t{parts_.parts.size()});
  for (size_t i = 0; i < parts_.parts.size(); ++i) {
    const ExtentLine& line = parts_.parts[i].line;
    std::string text(extent_access_name(line.access));
    text += " " + std::to_string(line.sectors) + " " + std::string(extent_type_name(line.type));
    if (!line.name.empty()) text += " \"" + (parts_.descriptor ? parts_.descriptor->descriptor().to_utf8(line.name) : line.name) + "\"";
    if (line.type == ExtentType::flat) text += " " + std::to_string(line.offset_sectors);
    details.emplace_back("extent." + std::to_string(i), std::move(text));
  }
}

ImageInfo VmdkImage::info() const {
  ImageInfo info;
  info.virtual_size = size();
  uint64_t allocated = 0;
  for (const auto& file : parts_.files) {
    info.files.push_back(file->name());
    allocated += file->allocated_bytes().value_or(file->size());
  }
  info.allocated_bytes = allocated;
  info.cluster_size = granularity_ > 1 ? static_cast<uint32_t>(granularity_) : 0;
  if (const auto link = parent()) info.parent = {link->names.empty() ? "" : link->names.front(), link->format, link->identities.front()};
  add_details(info);
  return info;
}

}  // namespace varve::vmdk
