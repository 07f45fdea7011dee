// Where an image's descriptor lies, and how it is changed there.
//
// It is changed in place: other programs find an embedded one by its place, and a file that took the place of a separate one would
// lose its owner, its links and the locks on it. What a power cut leaves must be a whole text all the same. A sector is written or it is
// not, so a change touches one sector, or several between which no line moves: any mixture of those is a text of old and new lines, and
// none of those depend on each other. Blank lines keep the places (Descriptor::keep_places); a change that would move lines over the
// border of a sector is refused.
#ifndef VARVE_FORMATS_VMDK_DESCRIPTOR_STORE_H
#define VARVE_FORMATS_VMDK_DESCRIPTOR_STORE_H

#include <cstdint>
#include <memory>
#include <string>

#include "vmdk/descriptor.h"

namespace varve::vmdk {

/// Not thread-safe.
class DescriptorStore {
 public:
  /// `area`: bytes from `offset` on that the text may take; 0: the file is the text and nothing else. `offset` is a sector's.
  DescriptorStore(std::shared_ptr<Storage> file, uint64_t offset, uint64_t area, Descriptor descriptor)
      : file_(std::move(file)), offset_(offset), area_(area), descriptor_(std::move(descriptor)) {}

  const Descriptor& descriptor() const { return descriptor_; }
  bool embedded() const { return area_ != 0; }

  /// A change about which all has been asked.
  struct Change {
    Descriptor descriptor;
    std::string old_text;  ///< what lies there, to the end of the area or the file
    std::string text;      ///< what is to lie there; of a file it may be longer

    /// Is it there or not, whenever the power fails?
    bool is_one_sector() const;
  };
  /// Changes nothing. Throws limit if the text would outgrow an embedded area, or if a power cut could leave a mixture of both texts.
  Change prepare(Descriptor descriptor) const;
  /// Makes it durable. Throws only what the file throws; what is there then is the old text or the new one, or their lines mixed as above.
  void commit(Change change);
  void replace(Descriptor descriptor) { commit(prepare(std::move(descriptor))); }

 private:
  const std::shared_ptr<Storage> file_;
  const uint64_t offset_;
  const uint64_t area_;
  Descriptor descriptor_;
};

}  // namespace varve::vmdk

#endif
