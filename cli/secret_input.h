// Secrets from files, descriptors, commands and the terminal. Each is read straight into memory that is wiped (varve/secret.h).
#ifndef VARVE_CLI_SECRET_INPUT_H
#define VARVE_CLI_SECRET_INPUT_H

#include <optional>
#include <string>

#include "messages.h"
#include "varve/progress.h"
#include "varve/secret.h"

namespace varve::cli {

// A passphrase is all that is read, at most 1024 bytes, but for one final newline. A raw key is exactly 32 bytes. All wait for what they
// read until the token is set, and from then on the process dumps no core. They throw Error.

/// Warns if others may read the file.
KeySecret read_key_file(const std::string& path, SecretKind kind, Messages& messages, const CancelToken& cancel);
KeySecret read_key_descriptor(int fd, SecretKind kind, const CancelToken& cancel);
/// What `/bin/sh -c COMMAND` prints; of a passphrase its first line. Its standard input is empty, its standard error is ours.
KeySecret run_key_command(const std::string& command, SecretKind kind, const CancelToken& cancel);

/// Asks for the passphrase of the image `path`. nullopt if there is no terminal to ask at.
std::optional<KeySecret> ask_passphrase(const std::string& path, bool again, const CancelToken& cancel);
/// Asks twice for a new one. Throws authentication if there is no terminal, or if the two differ three times.
KeySecret ask_new_passphrase(const std::string& path, const CancelToken& cancel);

}  // namespace varve::cli

#endif
