#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "secrets.h"

namespace varve::cli {
namespace {

int run(const Arguments& arguments, Session& session) {
  const std::string& path = arguments.operand(0);
  const std::string format = target_format(arguments, "-f", path);
  CreateOptions options = create_options(arguments, session);
  split_parent(options, path);
  std::optional<uint64_t> size;
  if (arguments.operands().size() > 1) size = size_value(arguments.operand(1), "SIZE");
  if (!size && options.parent.empty()) throw UsageError("no SIZE", "give a size, or a parent with -b whose size the image takes");

  Image image = Image::create(path, format, size, options);
  const uint64_t disk_size = image.size();
  session.cancel.check();
  image.close();
  if (arguments.has("json")) print_json(session.out, {{"file", path}, {"format", format}, {"virtual_size", disk_size}});
  return kDone;
}

}  // namespace

const Command& create_command() {
  static const Command command = {
      .name = "create",
      .operands = "FILE [SIZE]",
      .summary = "make a new image",
      .description =
          "Makes an empty disk of SIZE bytes, which reads as zeros or, with -b, as the parent. SIZE may be left out with -b: the image "
          "is then as large as its parent. A parent must not change afterwards; a snapshot of one never does. It is marked as held in "
          "PARENT, "
          "so that deleting it takes --force. The format comes from -f, else from the extension of FILE.\n\n"
          "The image appears under its name when it is complete and on the medium, and never replaces a file unless --force is given.",
      .options = option_rows(
          {{{'f', "", "FORMAT", "format of the new image; without it, that of FILE's extension"},
            create_options_option(),
            {'b', "", "PARENT[@SNAPSHOT]", "make a delta on this image: what is not written reads as PARENT, or as its SNAPSHOT"},
            {'F', "", "FORMAT", "format of PARENT; without it, that of the new image"},
            force_option("replace FILE if it exists")},
           reference_options(),
           key_options(),
           out_key_options(),
           {sync_option(), json_option()}}),
      .min_operands = 1,
      .max_operands = 2,
      .exit_codes = {},
      .examples = {"varve create disk.vmdk 20G", "varve create -o subformat=twoGbMaxExtentSparse disk.vmdk 20G",
                   "varve create -b base.vmdk delta.vmdk", "varve create -b base.varve@golden vm7.varve"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
