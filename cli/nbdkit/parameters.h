// What `nbdkit varve KEY=VALUE ...` says about the image.
#ifndef VARVE_NBDKIT_PARAMETERS_H
#define VARVE_NBDKIT_PARAMETERS_H

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "secret.h"
#include "varve/varve.h"

namespace varve_nbdkit {

struct FreeOptions {
  void operator()(varve_options* options) const { varve_options_free(options); }
};
using Options = std::unique_ptr<varve_options, FreeOptions>;

/// All throw Failure.
class Parameters {
 public:
  /// One of them. Secrets are not read yet.
  void set(const std::string& key, const std::string& value);
  /// There will be no more: checks that what must be said was, and reads the secrets.
  void complete();

  const std::string& file() const { return file_; }
  /// What the parameters say. If they don't, it is nbdkit -r that decides, which a plugin learns with the first client.
  std::optional<bool> read_only() const { return read_only_; }
  /// A pipe whose other end is held by whoever wants the server to run.
  std::optional<int> until_fd() const { return until_fd_; }
  /// For opening the image. Warnings are told to nbdkit.
  Options options(bool read_only) const;
  /// The image is open, and will not be opened again.
  void forget_secrets() { secrets_.clear(); }

 private:
  enum class From : uint8_t { file, descriptor, password };
  struct Source {
    From from;
    std::string where;
  };

  bool is_set(const std::string& key) const;
  void add_secret(const Source& source);

  std::string file_;
  std::optional<bool> read_only_;
  std::optional<int> until_fd_;
  bool raw_keys_ = false;
  std::vector<std::pair<std::string, std::string>> settings_;  // for varve_options_set(), in the order given
  std::vector<Source> sources_;
  std::vector<std::pair<const char*, Secret>> secrets_;  // kind and bytes
};

}  // namespace varve_nbdkit

#endif
