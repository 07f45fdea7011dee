#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "progress.h"
#include "secrets.h"
#include "varve/ops.h"
#include "varve/text.h"

namespace varve::cli {
namespace {

void print_text(std::ostream& out, const CompareResult& result) {
  if (result.same) {
    out << "the contents are the same"
        << (result.size_a == result.size_b ? "" : "; the sizes differ, but the rest of the larger disk is zeros") << '\n';
  } else if (result.first_difference) {
    out << "the contents differ, first at byte " << *result.first_difference << '\n';
  } else {
    out << "the contents differ\n";
  }
  if (result.size_a != result.size_b) out << "the sizes are " << result.size_a << " and " << result.size_b << " bytes\n";
}

int run(const Arguments& arguments, Session& session) {
  const OpenOptions open_a = open_options(arguments, session);
  OpenOptions open_b = open_a;
  open_b.format = format_value(arguments, "-F");
  open_b.parent = arguments.value("parent-b");
  open_b.snapshot = arguments.value("snapshot-b");
  CompareOptions options;
  options.threads = thread_count(arguments);
  options.strict = arguments.has("strict");
  options.cancel = &session.cancel;

  Image a = Image::open(arguments.operand(0), open_a);
  Image b = Image::open(arguments.operand(1), open_b);
  Progress progress(progress_style(arguments), "compare", session.messages);
  options.progress = progress.function();
  const CompareResult result = compare(a, b, options);
  progress.finish();
  if (arguments.has("json")) {
    print_json(session.out, {{"same", result.same},
                             {"first_difference", json_or_null(result.first_difference)},
                             {"size_a", result.size_a},
                             {"size_b", result.size_b}});
  } else {
    print_text(session.out, result);
  }
  return result.same ? kDone : kCompareDifferent;
}

std::vector<Option> option_table() {
  return option_rows({{{'f', "", "FORMAT", "format of A; without it, it is recognized from the contents"},
                       {'F', "", "FORMAT", "format of B; without it, it is recognized from the contents"},
                       {'l', "", "SNAPSHOT", "of A: the disk as this snapshot holds it"},
                       {0, "snapshot-b", "SNAPSHOT", "of B, likewise"},
                       {0, "strict", "", "disks of different size differ, even if the rest of the larger one is zeros"},
                       threads_option(),
                       unlocked_option("read images that another program is writing")},
                      progress_options(),
                      {{0, "parent", "FILE", "the parent of A, instead of the one that the image names"},
                       {0, "parent-b", "FILE", "the parent of B, likewise"},
                       {0, "ignore-parent", "", "look at one layer of each: what it does not hold reads as zeros"}},
                      reference_options(),
                      opening_options(),
                      {json_option()}});
}

}  // namespace

const Command& compare_command() {
  static const Command command = {
      .name = "compare",
      .operands = "A B",
      .summary = "do two images hold the same disk?",
      .description =
          "Compares the contents of two disks, whatever their formats, and tells where they differ first. Of disks of different size the "
          "rest of "
          "the larger one must be zeros.",
      .options = option_table(),
      .min_operands = 2,
      .max_operands = 2,
      .exit_codes = {{0, "the contents are the same"}, {kCompareDifferent, "they differ"}, {kCompareFailed, "failed"}},
      .examples = {"varve compare disk.raw disk.vmdk", "varve compare -f raw -F vmdk --strict a b",
                   "varve compare -l monday disk.varve disk.varve"},
      .run = run,
      .failed = kCompareFailed,
  };
  return command;
}

}  // namespace varve::cli
