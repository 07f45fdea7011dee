// Options that say which secrets open an image and which a new one gets, and what they become.
#ifndef VARVE_CLI_SECRETS_H
#define VARVE_CLI_SECRETS_H

#include <string_view>
#include <vector>

#include "arguments.h"
#include "command.h"
#include "varve/secret.h"

namespace varve::cli {

std::vector<Option> key_options();      ///< --key-file, --key-fd, --key-command, --key-format: of what exists
std::vector<Option> out_key_options();  ///< --out-key-*: of what is new
/// key_options() and what else opening an encrypted image depends on: --key-slot, --require-encryption, --min-generation,
/// --accept-older-state.
std::vector<Option> opening_options();

// All throw UsageError for contradictions. Nothing is read, and nobody asked, before a secret is wanted; what was read is kept for the next
// image that wants it. `session` must outlive what they return.

/// The secrets that the options name, in their order; without any, what is typed at the terminal.
SecretProvider key_provider(const Arguments& arguments, Session& session);
/// The secret of something new.
SecretProvider new_key_provider(const Arguments& arguments, Session& session);
/// Was anything said about how an image is to be opened?
bool names_key(const Arguments& arguments);
bool names_new_key(const Arguments& arguments);
/// Standard input is the disk already.
void refuse_key_from_stdin(const Arguments& arguments);
/// The number of a key slot.
unsigned slot_value(std::string_view text, std::string_view what);
/// Those in the files that `option` names, of the kind that --key-format says.
std::vector<KeySecret> secrets_of_files(const Arguments& arguments, std::string_view option, Session& session);

}  // namespace varve::cli

#endif
