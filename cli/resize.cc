#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "secrets.h"

namespace varve::cli {
namespace {

struct SizeChange {
  char sign = 0;  ///< '+', '-', or 0 for a size as such
  uint64_t bytes = 0;
};

SizeChange parse_change(std::string_view text) {
  SizeChange change;
  if (!text.empty() && (text[0] == '+' || text[0] == '-')) {
    change.sign = text[0];
    text.remove_prefix(1);
  }
  change.bytes = size_value(text, "SIZE");
  return change;
}

uint64_t new_size(uint64_t old_size, const SizeChange& change) {
  if (change.sign == 0) return change.bytes;
  uint64_t size = 0;
  const bool outside =
      change.sign == '+' ? __builtin_add_overflow(old_size, change.bytes, &size) : __builtin_sub_overflow(old_size, change.bytes, &size);
  if (outside)
    throw UsageError("the disk has " + std::to_string(old_size) + " bytes and cannot be changed by as much", "give a smaller number");
  return size;
}

int run(const Arguments& arguments, Session& session) {
  const std::string& path = arguments.operand(0);
  const SizeChange change = parse_change(arguments.operand(1));
  OpenOptions options = open_options(arguments, session);
  options.access = Access::read_write;
  Image image = Image::open(path, options);
  const uint64_t old_size = image.size();
  const uint64_t size = new_size(old_size, change);
  if (size < old_size && !arguments.has("shrink")) {
    throw Error(Errc::invalid_argument, "the disk would shrink from " + std::to_string(old_size) + " to " + std::to_string(size) + " bytes")
        .in(path)
        .hint("add --shrink if what lies beyond may be lost");
  }
  session.cancel.check();
  if (size != old_size) image.resize(size);
  image.close();
  if (arguments.has("json")) print_json(session.out, {{"file", path}, {"old_size", old_size}, {"virtual_size", size}});
  return kDone;
}

}  // namespace

const Command& resize_command() {
  static const Command command = {
      .name = "resize",
      .operands = "FILE [+-]SIZE",
      .summary = "grow a disk, or shrink it",
      .description =
          "Gives the disk the new SIZE or, with a sign, adds SIZE to it or takes SIZE away. What is new reads as zeros. Partitions and "
          "file systems "
          "inside are not touched: grow them afterwards, and shrink them before.\n\n"
          "An image is written in place only if its format is certain. Give it with -f: what an image looks like may be its guest's doing.",
      .options = option_rows({{format_option(), {0, "shrink", "", "allow a smaller size; what lies beyond it is lost"}},
                              parent_options(),
                              reference_options(),
                              opening_options(),
                              {sync_option(), json_option()}}),
      .min_operands = 2,
      .max_operands = 2,
      .signed_operands = true,
      .exit_codes = {},
      .examples = {"varve resize -f vmdk disk.vmdk +10G", "varve resize -f raw --shrink disk.raw 20G"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
