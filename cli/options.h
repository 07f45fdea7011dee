// Options that several commands share, and what they become.
#ifndef VARVE_CLI_OPTIONS_H
#define VARVE_CLI_OPTIONS_H

#include <initializer_list>
#include <string>
#include <vector>

#include "arguments.h"
#include "command.h"
#include "varve/image.h"

namespace varve::cli {

// ---- rows ----------------------------------------------------------------------------------------

Option format_option(std::string_view of = "the image");
Option json_option();
Option create_options_option();  ///< -o
Option sync_option();
Option cache_option();
Option force_option(std::string_view what);
Option unlocked_option(std::string_view what = "read an image that another program is writing");  ///< -U
Option snapshot_option();                                                                         ///< -l
Option threads_option();                                                                          ///< -j

std::vector<Option> progress_options();       ///< -p, --progress, -q
std::vector<Option> reference_options();      ///< --references, --max-virtual-size
Option parent_option(std::string_view what);  ///< --parent
std::vector<Option> parent_options();         ///< --parent, --ignore-parent
/// All rows of the lists, one after the other.
std::vector<Option> option_rows(std::initializer_list<std::vector<Option>> lists);

// ---- meanings --------------------------------------------------------------------------------------
// All throw UsageError for a value that can't be right whatever the files hold.

/// The value of an option that names a format, checked to be one; empty if it was not given.
std::string format_value(const Arguments& arguments, std::string_view key);
/// The format of a new file: the option's value, else that of the file name's extension.
std::string target_format(const Arguments& arguments, std::string_view key, const std::string& path);
/// A size in bytes, with or without a unit.
uint64_t size_value(std::string_view text, std::string_view what);
/// A decimal number from `least` to `most`.
uint64_t number_value(std::string_view text, std::string_view what, uint64_t least, uint64_t most);
/// -j: 0 if not given.
unsigned thread_count(const Arguments& arguments);
/// -o k=v,k=v, of which there may be several.
OptionMap creation_options(const Arguments& arguments);

/// From -f, -U, --parent, --ignore-parent, --references, --sync, --cache, the limits and opening_options() (secrets.h), as far as the
/// command has them.
OpenOptions open_options(const Arguments& arguments, Session& session);
/// -b PARENT@SNAPSHOT: the two, of a child FILE. A file whose whole name that is comes first.
void split_parent(CreateOptions& options, const std::string& file);
/// From -o, -b, -F, --force, --references, --sync, the limits, and the options of keys, those for existing images being for parents.
CreateOptions create_options(const Arguments& arguments, Session& session);

}  // namespace varve::cli

#endif
