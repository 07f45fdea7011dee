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

/// An open descriptor that a program which is run by this one may read the secret from, up to its end. Throws io.
int inherited_descriptor(const KeySecret& secret);

/// Runs the program `words.front()`, a path, with these words and a last one, "until-fd=N", and waits for its end. When the token is set,
/// or this process dies, the other end of N is closed, and the plugin closes the image and ends the server. Returns the exit code, 128 +
/// signal if it was killed. Throws io.
int run_until_cancelled(std::vector<std::string> words, const CancelToken& cancel);

/// nbdkit leaves its Unix socket behind, and refuses to start where one lies: removes one that nobody listens to. Throws io.
void remove_stale_socket(const std::string& path);

}  // namespace varve::cli

#endif
