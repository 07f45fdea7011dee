// Changing a line of a descriptor without moving the others.
//
// A medium writes single sectors whole, so a change within one sector is there or not. Blank lines mean nothing to any reader,
// and every known writer leaves some between the parts of its text: they are the room. Blanks inside a line are not, nor comments:
// some readers want those as they are.
#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "base/text.h"
#include "vmdk/descriptor.h"
#include "vmdk/structures.h"
#include "vmdk/text_encoding.h"

namespace varve::vmdk {

/// Line `changed` had `old_length` bytes. Lines that give all they have stay, empty, so that indices do.
void Descriptor::balance(std::vector<Line>& lines, size_t changed, size_t old_length) {
  const auto is_blank = [&](size_t i) {
    return lines[i].kind == Kind::other && trim(lines[i].raw).empty() && lines[i].raw.ends_with('\n');
  };
  size_t begin = 0;
  for (size_t i = 0; i < changed; ++i) begin += lines[i].raw.size();
  const size_t sector = align_down(begin, kSectorSize);
  std::vector<size_t> blank;  // the nearest behind first, then the nearest in front
  size_t room = 0;
  const auto note = [&](size_t i) {
    if (!is_blank(i)) return;
    blank.push_back(i);
    room += lines[i].raw.size();
  };
  size_t end = begin + old_length;
  for (size_t i = changed + 1; i < lines.size() && (end += lines[i].raw.size()) <= sector + kSectorSize; ++i) note(i);
  for (size_t i = changed; i-- > 0 && begin - lines[i].raw.size() >= sector;) {
    begin -= lines[i].raw.size();
    note(i);
  }
  const size_t length = lines[changed].raw.size();
  if (length < old_length && !blank.empty()) lines[blank.front()].raw.insert(0, old_length - length, '\n');
  if (length <= old_length || room < length - old_length) return;
  size_t wanted = length - old_length;
  for (const size_t i : blank) {
    const size_t given = std::min(wanted, lines[i].raw.size());
    lines[i].raw.erase(0, given);
    wanted -= given;
  }
}

void Descriptor::keep_places(const Descriptor& before) {
  if (before.lines_.size() != lines_.size()) return;
  std::vector<Line> lines = before.lines_;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines_[i].raw == before.lines_[i].raw) continue;
    const size_t old_length = lines[i].raw.size();
    lines[i] = lines_[i];
    balance(lines, i, old_length);
  }
  std::erase_if(lines, [](const Line& line) { return line.raw.empty(); });
  lines_ = std::move(lines);
}

std::optional<std::pair<size_t, size_t>> Descriptor::sectors_of(std::string_view key) const {
  const std::string wanted = lower_case(key);
  size_t begin = 0;
  for (const Line& line : lines_) {
    const size_t end = begin + line.raw.size();
    if (line.kind == Kind::entry && line.key == wanted) return std::pair{begin / kSectorSize, (end - 1) / kSectorSize};
    begin = end;
  }
  return std::nullopt;
}

bool Descriptor::in_one_sector(std::string_view key, std::string_view other) const {
  const auto sectors = sectors_of(key);
  return sectors && sectors->first == sectors->second && sectors_of(other) == sectors;
}

void Descriptor::for_each_beside(std::string_view key, const std::function<void(size_t)>& use) const {
  const auto sectors = sectors_of(key);
  if (!sectors || sectors->first != sectors->second) return;
  size_t begin = 0;
  for (size_t i = 0; i < lines_.size(); begin += lines_[i++].raw.size())
    if (begin / kSectorSize == sectors->first && (begin + lines_[i].raw.size() - 1) / kSectorSize == sectors->first) use(i);
}

bool Descriptor::put_in_sector_of(std::string_view key, std::string_view line) {
  std::optional<size_t> place;
  bool behind = false;
  const std::string wanted = lower_case(key);
  for_each_beside(key, [&](size_t i) {
    behind = behind || (lines_[i].kind == Kind::entry && lines_[i].key == wanted);
    if (behind && !place && lines_[i].kind == Kind::other && trim(lines_[i].raw).empty()) place = i;
  });
  if (!place) return false;
  lines_[*place] = classify(std::string(line) + std::string(line_end()));
  return true;
}

std::optional<std::pair<std::string, std::string>> Descriptor::database_line_in_sector_of(std::string_view key) const {
  std::optional<std::pair<std::string, std::string>> found;
  for_each_beside(key, [&](size_t i) {
    const Line& line = lines_[i];
    if (line.kind == Kind::entry && line.key.starts_with("ddb.")) found = {line.key, std::string(trim(line.raw))};
  });
  return found;
}

}  // namespace varve::vmdk
