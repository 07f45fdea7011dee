// How a differencing VHDX names its parent [MS-VHDX 2.6.2.6].
#ifndef VARVE_FORMATS_VHDX_LOCATOR_H
#define VARVE_FORMATS_VHDX_LOCATOR_H

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/uuid.h"
#include "image/driver.h"
#include "varve/storage.h"

namespace varve::vhdx {

/// Keys and values, UTF-8.
using ParentLocator = std::map<std::string, std::string, std::less<>>;

/// Throws corrupt for what lies outside the item, is not UTF-16 or stands twice; unsupported for another type of locator; limit for more
/// than 64 pairs.
ParentLocator parse_locator(ConstBytes item);

std::vector<std::byte> encode(const ParentLocator& locator);

/// The names in the order in which they are tried, with slashes, and the identities that the parent may have. Throws corrupt if the
/// locator says nothing of the parent's identity.
ParentLink parent_link(const ParentLocator& locator);

/// A parent at `name`, a path relative to the child's directory or absolute, whose FormatImage::identity() is `identity`.
ParentLocator make_locator(const std::string& name, const std::string& identity);

/// "DataWriteGuid {....}": what identity() says of an image with this GUID.
std::string identity_of(const Uuid& data_write_guid);

}  // namespace varve::vhdx

#endif
