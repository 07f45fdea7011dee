#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "secrets.h"
#include "text_output.h"
#include "varve/ops.h"

namespace varve::cli {
namespace {

MeasureReport measured(const Arguments& arguments, Session& session, const std::string& format) {
  const OptionMap options = creation_options(arguments);
  if (arguments.has("size")) return measure(size_value(arguments.value("size"), "--size"), format, options);
  Image source = Image::open(arguments.operand(0), open_options(arguments, session));
  return measure(source, format, options, &session.cancel);
}

void refuse_words_about_source(const Arguments& arguments) {
  for (const Option& option : option_rows({{format_option(), snapshot_option(), unlocked_option()}, parent_options(), opening_options()}))
    if (arguments.has(option.key()))
      throw UsageError((option.name.empty() ? "" : "--") + option.key() + " is about SRC and cannot go with --size");
}

int run(const Arguments& arguments, Session& session) {
  const bool from_size = arguments.has("size");
  if (!arguments.has("-O")) throw UsageError("no target format", "name it with -O");
  if (from_size && !arguments.operands().empty()) throw UsageError("SRC and --size exclude each other");
  if (!from_size && arguments.operands().empty())
    throw UsageError("no SRC", "name an image, or give the size of an empty disk with --size");
  if (from_size) refuse_words_about_source(arguments);
  const std::string format = format_value(arguments, "-O");
  const MeasureReport report = measured(arguments, session, format);
  if (arguments.has("json")) {
    print_json(session.out, {{"format", format},
                             {"virtual_size", report.virtual_size},
                             {"required", report.required},
                             {"fully_allocated", report.fully_allocated}});
    return kDone;
  }
  FieldList fields;
  fields.add("required", exact_size(report.required));
  fields.add("fully allocated", exact_size(report.fully_allocated));
  fields.print(session.out);
  return kDone;
}

}  // namespace

const Command& measure_command() {
  static const Command command = {
      .name = "measure",
      .operands = "[SRC]",
      .summary = "tell how much space a conversion will need",
      .description =
          "Tells how many bytes the image that 'varve convert' would make of SRC takes on the host, all its files together, without "
          "making it. It never takes more; it takes less if data compress, or turn out to be zeros. 'fully allocated' is what it takes "
          "when all of the disk has been written to.\n\n"
          "With --size instead of SRC, the same of a new disk of that size that holds nothing yet.",
      .options = option_rows({{{'O', "", "FORMAT", "format of the image to be"},
                               create_options_option(),
                               {0, "size", "SIZE", "of an empty disk of this size, instead of SRC"},
                               {'f', "", "FORMAT", "format of SRC; without it, it is recognized from the contents"},
                               snapshot_option(),
                               unlocked_option()},
                              parent_options(),
                              reference_options(),
                              opening_options(),
                              {json_option()}}),
      .min_operands = 0,
      .max_operands = 1,
      .exit_codes = {},
      .examples = {"varve measure -O vhdx disk.vmdk", "varve measure -O vmdk -o subformat=streamOptimized disk.raw",
                   "varve measure -O vhdx -o subformat=fixed --size 20G"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
