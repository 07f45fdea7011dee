// The character sets of descriptors.
#ifndef VARVE_FORMATS_VMDK_TEXT_ENCODING_H
#define VARVE_FORMATS_VMDK_TEXT_ENCODING_H

#include <optional>
#include <string>
#include <string_view>

namespace varve::vmdk {

/// `text`, in the character set that a descriptor calls `encoding`, as UTF-8. nullopt if the set isn't one of those that VMware's products
/// write, the host can't convert it, or the bytes are not of that set.
std::optional<std::string> text_to_utf8(std::string_view text, std::string_view encoding);

/// ASCII only, as keys of descriptors are.
std::string lower_case(std::string_view text);

}  // namespace varve::vmdk

#endif
