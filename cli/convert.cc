#include <unistd.h>

#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "progress.h"
#include "secrets.h"
#include "varve/ops.h"

namespace varve::cli {
namespace {

constexpr std::string_view kStream = "-";

void refuse_contradictions(const Arguments& arguments) {
  const bool into_existing = arguments.has("-n");
  if (arguments.has("target-is-zero") && !into_existing) throw UsageError("--target-is-zero needs -n: a new image is zero anyway");
  for (const char* key : {"-o", "-b", "force"})
    if (into_existing && arguments.has(key))
      throw UsageError(std::string("-n writes into an existing image and cannot go with ") + (key[0] == '-' ? "" : "--") + key);
  if (into_existing && names_new_key(arguments)) throw UsageError("-n writes into an existing image, which has its keys");
  if (arguments.operand(0) == kStream) refuse_key_from_stdin(arguments);
  const bool to_stream = arguments.operand(1) == kStream;
  if (!to_stream) return;
  if (into_existing) throw UsageError("-n cannot write to standard output");
  if (arguments.has("json")) throw UsageError("--json needs standard output, which is the target here");
  if (isatty(STDOUT_FILENO) != 0) throw UsageError("standard output is a terminal", "send it to a file or a pipe");
}

ConvertOptions convert_options(const Arguments& arguments, Session& session) {
  ConvertOptions options;
  options.source_format = format_value(arguments, "-f");
  options.into_existing = arguments.has("-n");
  // An existing target is not judged by its name: the library looks at it, or takes the format from -O.
  options.target_format = options.into_existing ? format_value(arguments, "-O") : target_format(arguments, "-O", arguments.operand(1));
  options.open = open_options(arguments, session);
  options.create = create_options(arguments, session);
  options.create.parent_secret = options.open.secret;  // what was read for the one serves the other
  split_parent(options.create, arguments.operand(1));
  options.copy.threads = thread_count(arguments);
  options.copy.target_is_zero = arguments.has("target-is-zero");
  options.copy.cancel = &session.cancel;
  return options;
}

int run(const Arguments& arguments, Session& session) {
  refuse_contradictions(arguments);
  ConvertOptions options = convert_options(arguments, session);
  const std::string& source = arguments.operand(0);
  if (source == kStream && isatty(STDIN_FILENO) != 0) throw UsageError("standard input is a terminal", "read it from a file or a pipe");

  Progress progress(progress_style(arguments), "convert", session.messages);
  options.copy.progress = progress.function();
  const CopyReport report = convert(source, arguments.operand(1), options);
  progress.finish();
  if (arguments.has("json")) {
    print_json(
        session.out,
        {{"source", source}, {"target", arguments.operand(1)}, {"virtual_size", report.virtual_size}, {"data_bytes", report.data_bytes}});
  }
  return kDone;
}

std::vector<Option> option_table() {
  return option_rows({{{'f', "", "FORMAT", "format of SRC; without it, it is recognized from the contents"},
                       {'O', "", "FORMAT", "format of DST; without it, that of DST's extension"},
                       create_options_option(),
                       {'b', "", "PARENT[@SNAPSHOT]", "make DST a delta on this image, or on its SNAPSHOT: only what differs is stored"},
                       {'F', "", "FORMAT", "format of PARENT; without it, that of DST"},
                       snapshot_option(),
                       threads_option(),
                       {'n', "", "", "write into DST, an existing image or block device, instead of making it"},
                       {0, "target-is-zero", "", "with -n: take your word that all of DST reads as zeros now"},
                       force_option("replace DST if it exists"),
                       unlocked_option("read a source that another program is writing")},
                      progress_options(),
                      parent_options(),
                      reference_options(),
                      opening_options(),
                      out_key_options(),
                      {{0, "max-output-bytes", "SIZE", "give up rather than write more than this"}, sync_option(), json_option()}});
}

}  // namespace

const Command& convert_command() {
  static const Command command = {
      .name = "convert",
      .operands = "SRC DST",
      .summary = "copy a disk into a new image of any format",
      .description =
          "Copies the disk in SRC, with all that its parents hold, into the new image DST. The format of DST comes from -O, else from its "
          "extension. "
          "Runs of zeros take no space where the format can say so. The same input gives the same output, whatever the number of "
          "threads.\n\n"
          "SRC or DST may be '-', standard input or output, for formats that can be streamed: 'varve formats' tells which.\n\n"
          "DST appears under its name when it is complete and on the medium. If anything fails, or the command is stopped, there is no "
          "DST; SRC "
          "is never changed. With -n the disk is written into an existing image or a block device instead, which must be at least as "
          "large; the rest "
          "of it is zeroed.",
      .options = option_table(),
      .min_operands = 2,
      .max_operands = 2,
      .exit_codes = {},
      .examples = {"varve convert esxi.vmdk disk.raw", "varve convert -o subformat=streamOptimized disk.raw appliance.vmdk",
                   "varve convert -O vmdk -o subformat=streamOptimized disk.raw - | ssh host 'cat > disk.vmdk'",
                   "varve convert -n -O raw disk.vmdk /dev/disk/by-id/usb-stick"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
