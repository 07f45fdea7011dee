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
  CommitOptions options;
  options.open = open_options(arguments, session);
  options.threads = thread_count(arguments);
  options.cancel = &session.cancel;

  Progress progress(progress_style(arguments), "commit", session.messages);
  options.progress = progress.function();
  const CommitReport report = commit(arguments.operand(0), options);
  progress.finish();
  if (arguments.has("json")) {
    print_json(session.out, {{"file", arguments.operand(0)},
                             {"parent", report.parent},
                             {"virtual_size", report.virtual_size},
                             {"data_bytes", report.data_bytes},
                             {"zero_bytes", report.zero_bytes}});
  }
  return kDone;
}

}  // namespace

const Command& commit_command() {
  static const Command command = {
      .name = "commit",
      .operands = "FILE",
      .summary = "write what an image holds into its parent",
      .description =
          "Writes all that FILE holds, data and zeros, into the image that it lies over, which then reads as FILE does. A smaller parent "
          "grows; of a larger one the rest stays. FILE stays as it is, valid and not emptied: delete it when nobody needs it, or go on "
          "writing to it.\n\n"
          "Other children of the parent lose the contents that they were made over, and are refused from then on. A parent that is not the "
          "one that FILE was made over is refused, and so is a FILE that has snapshots.\n\n"
          "A commit that was stopped, whatever the reason, leaves FILE reading as before and the parent with a part of it. Run it again.",
      .options = option_rows({{format_option(), threads_option(), parent_option("the parent, instead of the one that the image names")},
                              progress_options(),
                              reference_options(),
                              opening_options(),
                              {sync_option(), json_option()}}),
      .min_operands = 1,
      .max_operands = 1,
      .exit_codes = {},
      .examples = {"varve commit -f vmdk delta.vmdk"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
