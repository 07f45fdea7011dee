#include "faults/file_bytes.h"

#include <algorithm>

#include "base/zero.h"

namespace varve::test {

FileBytes::FileBytes(const std::vector<std::byte>& whole) : size_(whole.size()) {
  for (uint64_t at = 0; at < size_; at += kPage) add(at, ConstBytes(whole).subspan(at, std::min(kPage, size_ - at)));
}

FileBytes::FileBytes(Storage& file) : size_(file.size()) {
  std::vector<std::byte> page(kPage);
  for (uint64_t at = 0; at < size_;) {
    const StorageExtent run = file.extent_at(at);
    if (run.hole && run.length >= kPage) {
      at += run.length / kPage * kPage;  // the last page may hold data besides
      continue;
    }
    const MutableBytes part = MutableBytes(page).first(std::min(kPage, size_ - at));
    file.read_at(at, part);
    add(at, part);
    at += kPage;
  }
}

void FileBytes::add(uint64_t place, ConstBytes page) {
  if (is_zero(page)) return;
  places_.push_back(place);
  pages_.insert(pages_.end(), page.begin(), page.end());
  pages_.resize(places_.size() * kPage);
}

std::vector<std::byte> FileBytes::whole() const {
  std::vector<std::byte> all(size_);
  for (size_t i = 0; i < places_.size(); ++i)
    std::copy_n(pages_.begin() + static_cast<ptrdiff_t>(i * kPage), std::min(kPage, size_ - places_[i]),
                all.begin() + static_cast<ptrdiff_t>(places_[i]));
  return all;
}

void FileBytes::write_to(Storage& file) const {
  for (size_t first = 0; first < places_.size();) {
    size_t end = first + 1;
    while (end < places_.size() && places_[end] == places_[end - 1] + kPage) ++end;
    const uint64_t length = std::min((end - first) * kPage, size_ - places_[first]);
    file.write_at(places_[first], ConstBytes(pages_).subspan(first * kPage, length));
    first = end;
  }
  file.resize(size_);
}

}  // namespace varve::test
