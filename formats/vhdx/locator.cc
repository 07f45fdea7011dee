#include "vhdx/locator.h"

#include <algorithm>
#include <cctype>

#include "base/checked_math.h"
#include "base/text.h"
#include "base/utf16.h"
#include "varve/error.h"
#include "vhdx/structures.h"

namespace varve::vhdx {
namespace {

constexpr size_t kMaxPairs = 64;
constexpr std::string_view kIdentityPrefix = "DataWriteGuid ";
constexpr const char* kRelativePath = "relative_path";
constexpr const char* kAbsolutePath = "absolute_win32_path";

/// Text that may end in a NUL, which some writers add.
std::string text_at(ConstBytes item, uint32_t offset, uint16_t length, const char* what) {
  if (!range_fits(offset, length, item.size()) || offset < sizeof(ParentLocatorHeaderRaw))
    throw Error(Errc::corrupt, std::string(what) + " of the parent locator lies outside it");
  std::string text = utf16le_to_utf8(item.subspan(offset, length));
  while (text.ends_with('\0')) text.pop_back();
  return text;
}

std::string with_slashes(std::string path) {
  std::replace(path.begin(), path.end(), '\\', '/');
  while (path.starts_with("./")) path.erase(0, 2);
  return path;
}

std::string with_backslashes(std::string path) {
  std::replace(path.begin(), path.end(), '/', '\\');
  return path;
}

std::string braced(const Uuid& uuid) { return "{" + format_uuid(uuid) + "}"; }

Uuid parse_linkage(const std::string& key, const std::string& text) {
  try {
    return parse_uuid(text);
  } catch (const Error&) {
    throw Error(Errc::corrupt, key + " of the parent locator is no GUID");
  }
}

}  // namespace

std::string identity_of(const Uuid& data_write_guid) { return std::string(kIdentityPrefix) + braced(data_write_guid); }

ParentLocator parse_locator(ConstBytes item) {
  const auto head = load<ParentLocatorHeaderRaw>(item);
  if (to_uuid(head.locator_type) != kVhdxLocatorType)
    throw Error(Errc::unsupported, "a parent locator of the unknown type " + format_uuid(to_uuid(head.locator_type)));
  if (head.key_value_count > kMaxPairs) throw Error(Errc::limit, "a parent locator of more than 64 keys");
  ParentLocator locator;
  for (size_t i = 0; i < head.key_value_count; ++i) {
    const auto entry = load<ParentLocatorEntryRaw>(item, sizeof(head) + i * sizeof(ParentLocatorEntryRaw));
    const std::string key = text_at(item, entry.key_offset, entry.key_length, "a key");
    if (!locator.emplace(key, text_at(item, entry.value_offset, entry.value_length, "a value")).second)
      throw Error(Errc::corrupt, "a key stands twice in the parent locator");
  }
  return locator;
}

std::vector<std::byte> encode(const ParentLocator& locator) {
  ParentLocatorHeaderRaw head{};
  head.locator_type = to_raw(kVhdxLocatorType);
  head.key_value_count = checked_narrow<uint16_t>(locator.size());
  std::vector<std::byte> item;
  const auto append = [&](ConstBytes bytes) { item.insert(item.end(), bytes.begin(), bytes.end()); };
  append(bytes_of(head));
  item.resize(item.size() + locator.size() * sizeof(ParentLocatorEntryRaw));
  size_t at = sizeof(head);
  for (const auto& [key, value] : locator) {
    const std::vector<std::byte> stored_key = utf8_to_utf16le(key);
    const std::vector<std::byte> stored_value = utf8_to_utf16le(value);
    ParentLocatorEntryRaw entry{};
    entry.key_offset = checked_narrow<uint32_t>(item.size());
    entry.key_length = checked_narrow<uint16_t>(stored_key.size(), "the length of a key");
    append(stored_key);
    entry.value_offset = checked_narrow<uint32_t>(item.size());
    entry.value_length = checked_narrow<uint16_t>(stored_value.size(), "the length of the parent's name");
    append(stored_value);
    const auto bytes = bytes_of(entry);
    std::copy(bytes.begin(), bytes.end(), item.begin() + static_cast<ptrdiff_t>(at));
    at += sizeof(entry);
  }
  return item;
}

ParentLink parent_link(const ParentLocator& locator) {
  ParentLink link;
  link.format = "vhdx";
  for (const char* key : {"parent_linkage", "parent_linkage2"}) {
    const auto found = locator.find(key);
    if (found != locator.end() && !found->second.empty()) link.identities.push_back(identity_of(parse_linkage(key, found->second)));
  }
  if (link.identities.empty())
    throw Error(Errc::corrupt, "the parent locator has no parent_linkage, so no parent can be known as the right one");
  for (const char* key : {kRelativePath, "volume_path", kAbsolutePath}) {
    const auto found = locator.find(key);
    if (found != locator.end() && !found->second.empty()) link.names.push_back(with_slashes(found->second));
  }
  return link;
}

ParentLocator make_locator(const std::string& name, const std::string& identity) {
  constexpr size_t kMaxName = 32767 / 2;  // UTF-16 units of a length that 16 bits hold, with room for what is added
  if (!valid_utf8(name) || name.find('\0') != std::string::npos || name.size() > kMaxName)
    throw Error(Errc::invalid_argument, "the parent's name can't be stored: it is too long, or not UTF-8").hint("choose another name");
  if (!identity.starts_with(kIdentityPrefix)) throw Error(Errc::invalid_argument, "the parent has no DataWriteGuid to be known by");
  ParentLocator locator;
  locator["parent_linkage"] = identity.substr(kIdentityPrefix.size());
  // Of an absolute path libvhdi takes the file name and looks beside the child; it has no other way to a parent.
  locator[kAbsolutePath] = name.starts_with('/') ? name : with_backslashes(name);
  if (!name.starts_with('/')) locator[kRelativePath] = ".\\" + with_backslashes(name);
  return locator;
}

}  // namespace varve::vhdx
