// Encrypted images for the tests of the command line, and secrets that must never be shown.
#ifndef VARVE_TESTS_CLI_SECRETS_H
#define VARVE_TESTS_CLI_SECRETS_H

#include <string>
#include <vector>

#include "cli.h"

namespace varve::test {

/// Part of every passphrase of these tests.
inline const std::string kCanary = "canary-7f3b";

/// A file that only its owner may read.
std::string key_file(const TempDir& dir, const std::string& name, const std::string& contents);

/// Runs the tool without a terminal to ask at, and checks that the canary is in nothing that it says.
RunResult hushed(const std::vector<std::string>& arguments);
/// The same by way of `sh -c`, as varve_sh().
RunResult hushed_sh(const std::string& script, const std::vector<std::string>& words);

/// d.varve, encrypted, which holds noise, and the file "old" with its passphrase.
std::string encrypted_image(const TempDir& dir);

}  // namespace varve::test

#endif
