// Passphrases and keys between the command line and the library.
#ifndef VARVE_NBDKIT_SECRET_H
#define VARVE_NBDKIT_SECRET_H

#include <cstddef>
#include <string>

namespace varve_nbdkit {

/// Some bytes that are wiped when they are given up and left out of core dumps. A forked child has them, too, unlike those that the library
/// keeps: nbdkit forks after parameters were read and before the image is opened.
class Secret {
 public:
  Secret();  ///< empty; throws std::bad_alloc
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&&) = delete;
  ~Secret();

  const void* data() const { return data_; }
  size_t size() const { return size_; }
  /// Throws Failure if there would be more than any passphrase has.
  void append(const void* bytes, size_t count);

 private:
  char* data_ = nullptr;
  size_t size_ = 0;
};

/// The number of a descriptor that nbdkit has inherited, above those of the standard streams. Throws Failure.
int inherited_descriptor(const std::string& key, const std::string& number);

// All throw Failure, with what was asked for in its line.

Secret read_secret_file(const std::string& path);
/// Up to its end; it is closed then.
Secret read_secret_descriptor(const std::string& number);
/// From where nbdkit_read_password() reads: "-" is the terminal, "-FD" a descriptor, "+FILE" a file. The secret itself is refused:
/// everybody on the host sees it in the list of processes.
Secret read_secret_password(const std::string& where);

}  // namespace varve_nbdkit

#endif
