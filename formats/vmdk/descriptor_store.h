// Where an image's descriptor lies, and how it is changed there.
#ifndef VARVE_FORMATS_VMDK_DESCRIPTOR_STORE_H
#define VARVE_FORMATS_VMDK_DESCRIPTOR_STORE_H

#include <cstdint>
#include <memory>

#include "vmdk/descriptor.h"

namespace varve::vmdk {

/// Not thread-safe.
class DescriptorStore {
 public:
  /// `area`: bytes from `offset` on that the text may take; 0: the file is the text and nothing else.
  DescriptorStore(std::shared_ptr<Storage> file, uint64_t offset, uint64_t area, Descriptor descriptor)
      : file_(std::move(file)), offset_(offset), area_(area), descriptor_(std::move(descriptor)) {}

  const Descriptor& descriptor() const { return descriptor_; }
  bool embedded() const { return area_ != 0; }

  /// Writes the sectors that differ and makes them durable: a change of one value within its length touches one sector, rarely two.
  /// Throws limit if the text has outgrown an embedded area; nothing has changed then.
  void replace(Descriptor descriptor);

 private:
  void write_differing(ConstBytes bytes, uint64_t old_size);

  const std::shared_ptr<Storage> file_;
  const uint64_t offset_;
  const uint64_t area_;
  Descriptor descriptor_;
};

}  // namespace varve::vmdk

#endif
