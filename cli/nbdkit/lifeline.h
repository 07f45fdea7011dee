// Ends a server that is told to end while clients are connected. nbdkit alone waits until they have gone.
#ifndef VARVE_NBDKIT_LIFELINE_H
#define VARVE_NBDKIT_LIFELINE_H

#include <atomic>
#include <thread>

#include "served_image.h"

namespace varve_nbdkit {

/// Watches a pipe, in a thread of its own. When its other end is closed nbdkit is asked to shut down; where that takes long the image is
/// closed and the process ends.
class Lifeline {
 public:
  Lifeline(int fd, ServedImage& image);
  Lifeline(const Lifeline&) = delete;
  Lifeline& operator=(const Lifeline&) = delete;
  /// nbdkit has shut down by itself.
  ~Lifeline();

  /// The image is being closed under its clients: what fails from now on does so for this reason, and they are to hear nothing of it.
  bool is_ending() const { return ending_.load(); }

 private:
  void watch() noexcept;

  const int fd_;
  ServedImage& image_;
  int stop_ = -1;  // an eventfd
  std::atomic<bool> ending_{false};
  std::thread watcher_;
};

}  // namespace varve_nbdkit

#endif
