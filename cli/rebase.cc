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

int run(const Arguments& arguments, Session& session) {
  if (!arguments.has("-b")) throw UsageError("no new parent", "name it with -b, or give -b '' for none");
  RebaseOptions options;
  CreateOptions parent;
  parent.parent = arguments.value("-b");
  split_parent(parent, arguments.operand(0));
  options.parent = parent.parent;
  options.parent_snapshot = parent.parent_snapshot;
  options.parent_format = format_value(arguments, "-F");
  options.unsafe = arguments.has("unsafe");
  if (options.parent.empty() && arguments.has("-F"))
    throw UsageError("-F is the format of the new parent, and -b '' says that there is none");
  if (options.unsafe && arguments.has("parent")) throw UsageError("--unsafe does not look at the old parent", "leave out --parent");
  options.open = open_options(arguments, session);
  options.threads = thread_count(arguments);
  options.cancel = &session.cancel;

  Progress progress(progress_style(arguments), "rebase", session.messages);
  options.progress = progress.function();
  const RebaseReport report = rebase(arguments.operand(0), options);
  progress.finish();
  if (arguments.has("json")) {
    print_json(session.out, {{"file", arguments.operand(0)},
                             {"parent", options.parent.empty() ? Json(nullptr) : Json(options.parent)},
                             {"virtual_size", report.virtual_size},
                             {"written_bytes", report.written_bytes}});
  }
  return kDone;
}

}  // namespace

const Command& rebase_command() {
  static const Command command = {
      .name = "rebase",
      .operands = "FILE",
      .summary = "give an image another parent",
      .description =
          "Makes FILE a delta on PARENT instead of its present parent, or with -b '' an image of its own. What FILE reads as stays: where "
          "the two parents differ and FILE holds nothing, it takes over what it has read so far. That is on the medium before the "
          "reference "
          "changes, so a command that is stopped leaves FILE as it was, if a little larger.\n\n"
          "With --unsafe only the reference changes: after a parent was moved or renamed, or converted without a change of its contents. "
          "The old parent need not exist. FILE reads as something else if PARENT holds something else.\n\n"
          "PARENT is stored as given; a relative name is relative to FILE's directory. Snapshots of FILE keep their parent. What is "
          "written "
          "to FILE makes it another one for its own children, if it has any: give them a new reference with --unsafe.",
      .options = option_rows({{{'b', "", "PARENT[@SNAPSHOT]", "the new parent, or a snapshot of it; '' for none"},
                               {'F', "", "FORMAT", "format of PARENT; without it, that of FILE"},
                               {'u', "unsafe", "", "change the reference alone, on your word that the contents are right so"},
                               format_option(),
                               threads_option(),
                               parent_option("the present parent, instead of the one that the image names")},
                              progress_options(),
                              reference_options(),
                              opening_options(),
                              {sync_option(), json_option()}}),
      .min_operands = 1,
      .max_operands = 1,
      .exit_codes = {},
      .examples = {"varve rebase -f vmdk -b base.vmdk delta.vmdk", "varve rebase -f vmdk -b '' delta.vmdk",
                   "varve rebase -f vmdk --unsafe -b moved/base.vmdk delta.vmdk"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
