#include "vmdk/descriptor_store.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "varve/error.h"
#include "vmdk/structures.h"

namespace varve::vmdk {

void DescriptorStore::write_differing(ConstBytes bytes, uint64_t old_size) {
  std::vector<std::byte> old(std::min<uint64_t>(old_size, bytes.size()));
  file_->read_at(offset_, old);
  for (size_t begin = 0; begin < bytes.size(); begin += kSectorSize) {
    const size_t length = std::min<size_t>(kSectorSize, bytes.size() - begin);
    const bool same = begin + length <= old.size() && std::memcmp(old.data() + begin, bytes.data() + begin, length) == 0;
    if (!same) file_->write_at(offset_ + begin, bytes.subspan(begin, length));
  }
}

void DescriptorStore::replace(Descriptor descriptor) {
  std::string text = descriptor.text();
  if (embedded()) {
    if (text.size() > area_)
      throw Error(Errc::limit, "the descriptor has outgrown its " + std::to_string(area_) + " bytes inside the image").in(file_->name());
    text.resize(area_, '\0');
    write_differing(std::as_bytes(std::span(text)), area_);
  } else {
    const uint64_t old_size = file_->size();
    write_differing(std::as_bytes(std::span(text)), old_size);
    if (text.size() < old_size) file_->resize(text.size());
  }
  file_->flush();
  descriptor_ = std::move(descriptor);
}

}  // namespace varve::vmdk
