// What `info` says of a VHDX. The keys are stable: scripts read them.
#include <string>

#include "vhdx/vhdx_image.h"

namespace varve::vhdx {

ImageInfo VhdxImage::info() const {
  const Metadata& metadata = parts_.metadata;
  const Header header = session_.header();
  ImageInfo info;
  info.virtual_size = size();
  info.files = {file_->name()};
  info.allocated_bytes = file_->allocated_bytes();
  info.cluster_size = static_cast<uint32_t>(metadata.block_size);
  if (metadata.parent) {
    const ParentLink link = parent_link(*metadata.parent);
    info.parent = {link.names.empty() ? "" : link.names.front(), link.format, link.identities.front()};
  }
  auto& details = info.details;
  details.emplace_back("subformat", metadata.parent ? "differencing" : metadata.fixed ? "fixed" : "dynamic");
  details.emplace_back("block_size", metadata.block_size);
  details.emplace_back("logical_sector_size", metadata.logical_sector);
  details.emplace_back("physical_sector_size", metadata.physical_sector);
  details.emplace_back("disk_id", format_uuid(metadata.disk_id));
  details.emplace_back("data_write_guid", format_uuid(header.data_write_guid));
  details.emplace_back("file_write_guid", format_uuid(header.file_write_guid));
  details.emplace_back("log_size", header.log_length);
  details.emplace_back("log_pending", parts_.log_pending);
  details.emplace_back("creator", parts_.creator);
  return info;
}

}  // namespace varve::vhdx
