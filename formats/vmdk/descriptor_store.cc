#include "vmdk/descriptor_store.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "varve/error.h"
#include "vmdk/structures.h"

namespace varve::vmdk {
namespace {

struct Span {
  size_t begin = 0;
  size_t end = 0;  ///< behind the line end
  bool operator==(const Span&) const = default;

  size_t first_sector() const { return begin / kSectorSize; }
  size_t last_sector() const { return (end - 1) / kSectorSize; }
};

/// The lines that say something, up to the first NUL.
std::vector<Span> lines_of(std::string_view text) {
  text = text.substr(0, text.find('\0'));
  std::vector<Span> lines;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find('\n', begin), text.size() - 1) + 1;
    if (text.find_first_not_of(" \t\r\n", begin) < end) lines.push_back({begin, end});
    begin = end;
  }
  return lines;
}

/// The sectors in which two texts of one length differ.
std::vector<size_t> differing_sectors(std::string_view a, std::string_view b) {
  std::vector<size_t> sectors;
  for (size_t at = 0; at < a.size(); at += kSectorSize)
    if (a.substr(at, kSectorSize) != b.substr(at, kSectorSize)) sectors.push_back(at / kSectorSize);
  return sectors;
}

/// May a line that lies across the border of two sectors have either half old or new? A number of sectors must not; an identifier or a
/// geometry is then another one, and nothing follows from it.
bool halves_mix(std::string_view old_line, std::string_view line, size_t first_half) {
  if (old_line == line || !is_extent_line(line)) return true;
  return old_line.substr(0, first_half) == line.substr(0, first_half) || old_line.substr(first_half) == line.substr(first_half);
}

/// Is every mixture of whole sectors of these texts, which are of one length, a text of old and new lines?
bool sectors_mix(std::string_view old_text, std::string_view text) {
  if (differing_sectors(old_text, text).size() <= 1) return true;
  const std::vector<Span> old_lines = lines_of(old_text);
  const std::vector<Span> lines = lines_of(text);
  if (old_lines.size() != lines.size()) return false;
  for (size_t i = 0; i < lines.size(); ++i) {
    const Span now = lines[i];
    const Span before = old_lines[i];
    if (now.first_sector() != before.first_sector() || now.last_sector() != before.last_sector()) return false;
    if (now.first_sector() == now.last_sector()) continue;
    if (now != before) return false;
    const size_t length = now.end - now.begin;
    if (!halves_mix(old_text.substr(now.begin, length), text.substr(now.begin, length), now.last_sector() * kSectorSize - now.begin))
      return false;
  }
  return true;
}

}  // namespace

DescriptorStore::Change DescriptorStore::prepare(Descriptor descriptor) const {
  descriptor.keep_places(descriptor_);
  std::string old_text(embedded() ? area_ : file_->size(), '\0');
  file_->read_at(offset_, std::as_writable_bytes(std::span(old_text)));
  std::string text = descriptor.text();
  if (embedded() && text.size() > area_)
    throw Error(Errc::limit, "the descriptor has outgrown its " + std::to_string(area_) + " bytes inside the image").in(file_->name());
  // A file keeps its length, or grows before its text does.
  const char fill = embedded() || old_text.find('\0') != std::string::npos ? '\0' : '\n';
  const size_t length = std::max(text.size(), old_text.size());
  text.resize(length, fill);
  std::string lengthened = old_text;
  lengthened.resize(length, fill);
  if (!sectors_mix(lengthened, text))
    throw Error(Errc::limit, "the descriptor has no room for the change: lines would move over the border of a sector")
        .in(file_->name())
        .hint("convert the image; a new descriptor has room");
  return {std::move(descriptor), std::move(old_text), std::move(text)};
}

bool DescriptorStore::Change::is_one_sector() const {
  // A file becomes longer before its text changes.
  std::string lengthened = old_text;
  lengthened.resize(text.size(), '\n');
  return differing_sectors(lengthened, text).size() <= 1;
}

void DescriptorStore::commit(Change change) {
  if (const size_t old_size = change.old_text.size(); change.text.size() > old_size) {
    // Its new end first: were the text written with it, a power cut could leave the text without its end.
    change.old_text.resize(change.text.size(), '\n');
    file_->write_at(old_size, std::as_bytes(std::span(change.old_text)).subspan(old_size));
    file_->flush();
  }
  // From the front, one after the other: the CID stands before all that children are to notice.
  for (const size_t sector : differing_sectors(change.old_text, change.text)) {
    const size_t begin = sector * kSectorSize;
    const size_t size = std::min<size_t>(kSectorSize, change.text.size() - begin);
    file_->write_at(offset_ + begin, std::as_bytes(std::span(change.text)).subspan(begin, size));
    file_->flush();
  }
  descriptor_ = std::move(change.descriptor);
}

}  // namespace varve::vmdk
