// The image that a server serves: opened once, shared by all connections.
#ifndef VARVE_NBDKIT_SERVED_IMAGE_H
#define VARVE_NBDKIT_SERVED_IMAGE_H

#include <memory>
#include <mutex>

#include "parameters.h"
#include "varve/varve.h"

struct nbdkit_extents;

namespace varve_nbdkit {

struct FreeImage {
  void operator()(varve_image* image) const { varve_free(image); }
};

/// Requests may come from any number of threads once open() has returned in a thread of theirs. All throw Failure.
class ServedImage {
 public:
  /// Could it be opened for reading? Nothing of it stays open. For the moment before nbdkit goes into the background, when its user still
  /// sees errors, and when the threads and locks of an open image would be lost in the child.
  static void rehearse(const Parameters& parameters);

  /// The first call that succeeds opens it, and the parameters' secrets are forgotten then; later ones do nothing. Any thread.
  void open(Parameters& parameters, bool read_only);
  /// Waits for the requests that are being carried out, and makes everything durable. What would change the image fails from then on. Does
  /// nothing if it is not open. Any thread.
  void close();

  uint64_t size() const { return varve_size(image_.get()); }
  bool is_writable() const { return varve_is_writable(image_.get()) != 0; }
  varve_limits limits() const;

  void read(void* buffer, uint32_t count, uint64_t offset);
  void write(const void* data, uint32_t count, uint64_t offset, bool fua);
  void zero(uint32_t count, uint64_t offset, bool fua);
  void discard(uint32_t count, uint64_t offset, bool fua);
  void flush();
  /// Tells which parts of the range are stored; with `one` of the first run alone.
  void extents(uint32_t count, uint64_t offset, bool one, nbdkit_extents* found);

 private:
  std::mutex opening_;
  std::unique_ptr<varve_image, FreeImage> image_;  // set once, under opening_, through which every connection goes before it does anything
};

}  // namespace varve_nbdkit

#endif
