// How nbdkit learns that something went wrong: callbacks return -1 after they have given it a line and an errno.
#ifndef VARVE_NBDKIT_FAILURE_H
#define VARVE_NBDKIT_FAILURE_H

#include <exception>
#include <stdexcept>
#include <string>

#include "varve/varve.h"

namespace varve_nbdkit {

class Failure : public std::runtime_error {
 public:
  /// `number`: a positive errno.
  explicit Failure(const std::string& line, int number) : std::runtime_error(line), number_(number) {}
  int number() const { return number_; }

 private:
  int number_;
};

/// Receives the error of one call of the library.
class Outcome {
 public:
  Outcome() = default;
  Outcome(const Outcome&) = delete;
  Outcome& operator=(const Outcome&) = delete;
  ~Outcome() { varve_error_free(error_); }

  varve_error** error() { return &error_; }
  /// Throws Failure, with the library's line, unless `code` is VARVE_OK.
  void require(int code) const;

 private:
  varve_error* error_ = nullptr;
};

/// Tells nbdkit. Any thread.
void tell(const std::exception& failure) noexcept;

/// The work of a callback: 0, or -1 when nbdkit has been told why it failed.
template <typename Work>
int answer(Work work) noexcept {
  try {
    work();
    return 0;
  } catch (const std::exception& failure) {
    tell(failure);
    return -1;
  }
}

}  // namespace varve_nbdkit

#endif
