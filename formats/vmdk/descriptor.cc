#include "vmdk/descriptor.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "base/text.h"
#include "varve/error.h"
#include "vmdk/text_encoding.h"

namespace varve::vmdk {
namespace {

// RES-9: extents, keys and comments of any known writer are far fewer.
constexpr size_t kMaxLines = 16384;

constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
constexpr int kMaxLinesBeforeTitle = 16;

std::string_view as_text(ConstBytes bytes) { return {reinterpret_cast<const char*>(bytes.data()), bytes.size()}; }

/// Cuts the first line, its end included, off `text`.
std::string_view take_line(std::string_view& text) {
  const size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end == std::string_view::npos ? text.size() : end + 1);
  text.remove_prefix(line.size());
  return line;
}

/// "# Disk DescriptorFile", and as python-vmdkstream has it "# Disk Descriptor File".
bool is_title(std::string_view line) {
  std::string word = lower_case(line);
  std::erase_if(word, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; });
  return word == "#diskdescriptorfile";
}

bool is_ddb(std::string_view key) { return lower_case(key).starts_with("ddb."); }

/// ESXi and Workstation quote these and leave the others bare.
bool wants_quotes(std::string_view key) {
  const std::string lower = lower_case(key);
  return is_ddb(key) || lower == "createtype" || lower == "encoding" || lower == "parentfilenamehint";
}

}  // namespace

bool Descriptor::recognise(ConstBytes head) {
  std::string_view text = as_text(head);
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  for (int i = 0; i < kMaxLinesBeforeTitle && !text.empty(); ++i) {
    const std::string_view line = take_line(text);
    if (is_title(line)) return true;
    const std::string_view words = trim(line);
    if (!words.empty() && words.front() != '#') return false;
  }
  return false;
}

Descriptor::Line Descriptor::classify(std::string raw) {
  Line line;
  const std::string_view text = trim(raw);
  if (text.empty() || text.front() == '#') {
    line.kind = Kind::other;
  } else if (is_extent_line(text)) {
    line.kind = Kind::extent;
  } else if (const size_t equals = raw.find('='); equals != std::string::npos) {
    line.kind = Kind::entry;
    line.key = lower_case(trim(std::string_view(raw).substr(0, equals)));
    std::string_view value = trim(std::string_view(raw).substr(equals + 1));
    if (value.empty()) value = std::string_view(raw).substr(equals + 1, 0);
    if (value.size() >= 2 && value.front() == '"' && value.find('"', 1) != std::string_view::npos)
      value = value.substr(1, value.rfind('"') - 1);
    line.value_begin = static_cast<size_t>(value.data() - raw.data());
    line.value_length = value.size();
  }
  line.raw = std::move(raw);
  return line;
}

void Descriptor::add_line(Line line) {
  if (line.kind == Kind::extent) extents_.push_back(parse_extent_line(line.raw));
  lines_.push_back(std::move(line));
}

Descriptor Descriptor::parse(ConstBytes bytes, const Limits& limits, const WarnLine& warn) {
  std::string_view text = as_text(bytes);
  text = text.substr(0, text.find('\0'));
  if (text.size() > limits.descriptor_bytes)
    throw Error(Errc::limit, "a descriptor of more than " + std::to_string(limits.descriptor_bytes) + " bytes");
  Descriptor out;
  while (!text.empty()) {
    const std::string_view line = take_line(text);
    if (line.size() > limits.descriptor_line)
      throw Error(Errc::limit, "a descriptor line of more than " + std::to_string(limits.descriptor_line) + " bytes");
    out.add_line(classify(std::string(line)));
    if (out.lines_.size() > kMaxLines) throw Error(Errc::limit, "a descriptor of more than " + std::to_string(kMaxLines) + " lines");
    if (out.extents_.size() > limits.extents) throw Error(Errc::limit, "more than " + std::to_string(limits.extents) + " extents");
  }
  if (warn)
    for (const std::string& key : out.duplicate_keys())
      warn("the descriptor has the key \"" + key + "\" more than once; the first one counts");
  return out;
}

std::optional<std::string> Descriptor::get(std::string_view key) const {
  const std::string wanted = lower_case(key);
  for (const Line& line : lines_)
    if (line.kind == Kind::entry && line.key == wanted) return line.raw.substr(line.value_begin, line.value_length);
  return std::nullopt;
}

std::vector<std::pair<std::string, std::string>> Descriptor::entries() const {
  std::vector<std::pair<std::string, std::string>> out;
  for (const Line& line : lines_) {
    if (line.kind != Kind::entry) continue;
    const std::string_view raw = line.raw;
    out.emplace_back(trim(raw.substr(0, raw.find('='))), raw.substr(line.value_begin, line.value_length));
  }
  return out;
}

std::vector<std::string> Descriptor::duplicate_keys() const {
  std::map<std::string, int> count;
  for (const Line& line : lines_)
    if (line.kind == Kind::entry) ++count[line.key];
  std::vector<std::string> out;
  for (const auto& [key, times] : count)
    if (times > 1) out.push_back(key);
  return out;
}

std::string_view Descriptor::line_end() const { return !lines_.empty() && lines_.front().raw.ends_with("\r\n") ? "\r\n" : "\n"; }

void Descriptor::insert_line(size_t index, std::string text) {
  if (index > 0 && !lines_[index - 1].raw.ends_with('\n')) lines_[index - 1].raw += line_end();
  text += line_end();
  lines_.insert(lines_.begin() + static_cast<std::ptrdiff_t>(index), classify(std::move(text)));
}

size_t Descriptor::place_for(std::string_view key) const {
  const bool ddb = is_ddb(key);
  for (size_t i = lines_.size(); i > 0; --i)
    if (lines_[i - 1].kind == Kind::entry && is_ddb(lines_[i - 1].key) == ddb) return i;
  if (ddb) return lines_.size();
  const auto extent = std::find_if(lines_.begin(), lines_.end(), [](const Line& line) { return line.kind == Kind::extent; });
  return static_cast<size_t>(extent - lines_.begin());
}

void Descriptor::set(std::string_view key, std::string_view value) {
  const bool fits = std::none_of(value.begin(), value.end(), [](char c) { return c == '"' || static_cast<unsigned char>(c) < 0x20; });
  if (!fits) throw Error(Errc::invalid_argument, "a VMDK descriptor cannot hold a value with a quote or a control character");
  const std::string wanted = lower_case(key);
  bool found = false;
  std::erase_if(lines_, [&](Line& line) {
    if (line.kind != Kind::entry || line.key != wanted) return false;
    if (found) return true;
    found = true;
    line.raw.replace(line.value_begin, line.value_length, value);
    line.value_length = value.size();
    return false;
  });
  if (found) return;
  const std::string_view quote = wants_quotes(key) ? "\"" : "";
  std::string text(key);
  text.append(is_ddb(key) ? " = " : "=").append(quote).append(value).append(quote);
  insert_line(place_for(key), std::move(text));
}

void Descriptor::remove(std::string_view key) {
  const std::string wanted = lower_case(key);
  std::erase_if(lines_, [&](const Line& line) { return line.kind == Kind::entry && line.key == wanted; });
}

void Descriptor::blank(std::string_view key, Keep keep) {
  const std::string wanted = lower_case(key);
  std::vector<size_t> found;
  for (size_t i = 0; i < lines_.size(); ++i)
    if (lines_[i].kind == Kind::entry && lines_[i].key == wanted) found.push_back(i);
  for (const size_t i : found) {
    if ((keep == Keep::first && i == found.front()) || (keep == Keep::last && i == found.back())) continue;
    lines_[i] = classify(std::string(lines_[i].raw.size(), '\n'));
  }
}

void Descriptor::set_extent(size_t index, const ExtentLine& line) {
  std::string text = extent_line_text(line);
  size_t seen = 0;
  for (Line& old : lines_) {
    if (old.kind != Kind::extent || seen++ != index) continue;
    const size_t end = old.raw.find_first_of("\r\n");
    old.raw = std::move(text) + (end == std::string::npos ? "" : old.raw.substr(end));
    extents_.at(index) = line;
    return;
  }
}

void Descriptor::append(std::string_view line) {
  if (!lines_.empty() && !lines_.back().raw.ends_with('\n')) lines_.back().raw += line_end();
  add_line(classify(std::string(line) + std::string(line_end())));
}

std::optional<uint32_t> Descriptor::hex_value(std::string_view key) const {
  const auto text = get(key);
  if (!text || text->empty() || text->size() > 8) return std::nullopt;
  uint32_t value = 0;
  const char* last = text->data() + text->size();
  const auto [end, failure] = std::from_chars(text->data(), last, value, 16);
  if (failure != std::errc{} || end != last) return std::nullopt;
  return value;
}

void Descriptor::set_cid(uint32_t cid) {
  if (cid >= 0xfffffffe) throw Error(Errc::invalid_argument, "the CID " + cid_text(cid) + " means \"none\"");
  set("CID", cid_text(cid));
}

void Descriptor::set_parent_cid(uint32_t cid) { set("parentCID", cid_text(cid)); }

std::string Descriptor::to_utf8(std::string_view stored) const {
  const auto converted = text_to_utf8(stored, get("encoding").value_or("UTF-8"));
  return converted ? *converted : std::string(stored);
}

std::string Descriptor::text() const {
  std::string out;
  for (const Line& line : lines_) out += line.raw;
  return out;
}

std::string cid_text(uint32_t cid) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out;
  for (int shift = 28; shift >= 0; shift -= 4) out += kDigits[cid >> shift & 0xf];
  return out;
}

}  // namespace varve::vmdk
