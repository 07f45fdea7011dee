// The facet of images that are encrypted.
#ifndef VARVE_IMAGE_KEYS_H
#define VARVE_IMAGE_KEYS_H

#include <vector>

#include "varve/key.h"

namespace varve {

/// Changes are durable when they return: whatever stops one, the slots are as before or as asked for. Throws not_found for a slot that is
/// empty, limit if none is free, invalid_argument for secrets that can't be. Thread-safe.
class Keys {
 public:
  virtual ~Keys() = default;

  /// In ascending order.
  virtual std::vector<KeySlotInfo> list() = 0;
  /// Returns the slot that it takes.
  virtual unsigned add(const KeySecret& secret, const KeyDerivation& how) = 0;
  /// What opened the slot before no longer does.
  virtual void change(unsigned slot, const KeySecret& secret, const KeyDerivation& how) = 0;
  /// Throws invalid_argument for the last one.
  virtual void remove(unsigned slot) = 0;
  /// Everything is encrypted anew under another master key. Can be called again after it was stopped, and goes on then.
  virtual void rotate(const RotateOptions& options) = 0;
};

}  // namespace varve

#endif
