// nbdkit, the program that serves images over NBD, and our plugin for it.
#ifndef VARVE_CLI_NBDKIT_PROGRAM_H
#define VARVE_CLI_NBDKIT_PROGRAM_H

#include <string>
#include <vector>

#include "varve/progress.h"
#include "varve/secret.h"

namespace varve::cli {

/// Where both lie; throws not_found, with what to install, if one of them is not there.
struct Nbdkit {
  static Nbdkit find();
  std::string program;
  std::string plugin;
};

/// An open descriptor that a program which replaces this one may read the secret from, up to its end. Throws io.
int inherited_descriptor(const KeySecret& secret);

/// Becomes the program `words.front()`, a path: returns only by throwing, io or, if the token is set, cancelled. SIGINT and SIGTERM, which
/// this process takes in its own way, end the program.
[[noreturn]] void become(std::vector<std::string> words, const CancelToken& cancel);

/// nbdkit leaves its Unix socket behind, and refuses to start where one lies: removes one that nobody listens to.
void remove_stale_socket(const std::string& path);

}  // namespace varve::cli

#endif
