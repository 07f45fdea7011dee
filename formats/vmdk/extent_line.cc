// Extent lines of a descriptor: ACCESS SECTORS TYPE "NAME" [OFFSET [REST]].
#include <array>
#include <charconv>
#include <string>
#include <utility>

#include "base/checked_math.h"
#include "base/text.h"
#include "varve/error.h"
#include "vmdk/descriptor.h"
#include "vmdk/structures.h"
#include "vmdk/text_encoding.h"

namespace varve::vmdk {
namespace {

constexpr std::array<std::pair<std::string_view, ExtentAccess>, 3> kAccesses{{
    {"RW", ExtentAccess::read_write},
    {"RDONLY", ExtentAccess::read_only},
    {"NOACCESS", ExtentAccess::no_access},
}};

constexpr std::array<std::pair<std::string_view, ExtentType>, 9> kTypes{{
    {"FLAT", ExtentType::flat},
    {"SPARSE", ExtentType::sparse},
    {"ZERO", ExtentType::zero},
    {"VMFS", ExtentType::vmfs},
    {"VMFSSPARSE", ExtentType::vmfs_sparse},
    {"VMFSRDM", ExtentType::vmfs_rdm},
    {"VMFSRDMP", ExtentType::vmfs_rdmp},
    {"VMFSRAW", ExtentType::vmfs_raw},
    {"SESPARSE", ExtentType::se_sparse},
}};

template <typename Table>
auto look_up(const Table& table, std::string_view word) -> std::optional<decltype(table[0].second)> {
  const std::string wanted = lower_case(word);
  for (const auto& [name, value] : table)
    if (lower_case(name) == wanted) return value;
  return std::nullopt;
}

/// Cuts the first word off `text`.
std::string_view take_word(std::string_view& text) {
  text = trim(text);
  const size_t end = std::min(text.find_first_of(" \t"), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

std::optional<uint64_t> number(std::string_view word) {
  uint64_t value = 0;
  const auto [end, failure] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (word.empty() || failure != std::errc{} || end != word.data() + word.size()) return std::nullopt;
  return value;
}

[[noreturn]] void bad(std::string_view line, const char* what) {
  throw Error(Errc::corrupt, std::string("extent line with ") + what + ": \"" + std::string(trim(line)) + "\"");
}

/// Cuts a name in quotes off `text`. There is no escape: the name ends at the next quote.
std::string take_name(std::string_view& text, std::string_view line) {
  text = trim(text);
  if (text.empty() || text.front() != '"') bad(line, "no file name in quotes");
  const size_t end = text.find('"', 1);
  if (end == std::string_view::npos) bad(line, "a file name without the closing quote");
  std::string name(text.substr(1, end - 1));
  if (name.empty()) bad(line, "an empty file name");
  text.remove_prefix(end + 1);
  return name;
}

}  // namespace

std::string_view extent_access_name(ExtentAccess access) noexcept {
  for (const auto& [name, value] : kAccesses)
    if (value == access) return name;
  return "";
}

std::string_view extent_type_name(ExtentType type) noexcept {
  for (const auto& [name, value] : kTypes)
    if (value == type) return name;
  return "";
}

bool is_extent_line(std::string_view line) {
  const std::string_view access = take_word(line);
  return look_up(kAccesses, access).has_value() && !trim(line).starts_with('=');
}

ExtentLine parse_extent_line(std::string_view line) {
  std::string_view left = line;
  ExtentLine out;
  const auto access = look_up(kAccesses, take_word(left));
  if (!access) bad(line, "no access mode");
  out.access = *access;
  const auto sectors = number(take_word(left));
  if (!sectors || *sectors == 0) bad(line, "no size");  // RES-9
  out.sectors = *sectors;
  checked_mul(out.sectors, kSectorSize, "an extent's size");
  const std::string_view type_word = take_word(left);
  const auto type = look_up(kTypes, type_word);
  if (!type) throw Error(Errc::unsupported, "extent type \"" + std::string(type_word) + "\" is not known");
  out.type = *type;
  if (out.type == ExtentType::zero && trim(left).empty()) return out;
  out.name = take_name(left, line);
  const std::string_view before_offset = left;
  if (const auto offset = number(take_word(left))) {
    out.offset_sectors = *offset;
    checked_mul(out.offset_sectors, kSectorSize, "an extent's offset");
  } else {
    left = before_offset;
  }
  out.rest = trim(left);
  return out;
}

std::string extent_line_text(const ExtentLine& line) {
  std::string text(extent_access_name(line.access));
  text += " " + std::to_string(line.sectors) + " " + std::string(extent_type_name(line.type));
  if (line.name.empty()) return text;
  for (const char c : line.name)
    if (c == '"' || static_cast<unsigned char>(c) < 0x20)
      throw Error(Errc::invalid_argument, "a VMDK descriptor cannot hold a file name with a quote or a control character")
          .hint("choose another name");
  text += " \"" + line.name + "\"";
  const bool has_offset = line.type == ExtentType::flat || line.offset_sectors != 0 || !line.rest.empty();
  if (has_offset) text += " " + std::to_string(line.offset_sectors);
  if (!line.rest.empty()) text += " " + line.rest;
  return text;
}

}  // namespace varve::vmdk
