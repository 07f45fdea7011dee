#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "progress.h"
#include "secrets.h"
#include "text_output.h"

namespace varve::cli {
namespace {

CheckOptions check_options(const Arguments& arguments, Session& session, Progress& progress) {
  CheckOptions options;
  options.data = arguments.has("data");
  if (arguments.has("repair")) options.repair = arguments.value("repair") == "all" ? Repair::all : Repair::safe;
  options.progress = progress.function();
  options.cancel = &session.cancel;
  return options;
}

std::string_view verdict(const CheckReport& report) {
  if (report.damages > 0) return "damaged";
  return report.leaks > 0 ? "leaks" : "clean";
}

int exit_code(const CheckReport& report) {
  if (report.damages > 0) return kCheckDamaged;
  return report.leaks > 0 ? kCheckLeaks : kDone;
}

std::string count_of(uint64_t number, const char* one, const char* many) {
  return std::to_string(number) + " " + (number == 1 ? one : many);
}

void print_text(std::ostream& out, const std::string& path, const CheckReport& report) {
  for (const Finding& finding : report.findings) {
    out << severity_name(finding.severity) << ": " << escape_text(finding.message);
    if (finding.file_offset) out << " (at byte " << *finding.file_offset << ')';
    if (finding.disk_offset) out << ", disk bytes " << *finding.disk_offset << " to " << *finding.disk_offset + finding.disk_length;
    out << (finding.repaired ? ": repaired" : "") << '\n';
  }
  const uint64_t all = report.damages + report.leaks + report.repaired;
  if (all > report.findings.size()) out << "(more findings than are shown)\n";
  out << escape_text(path) << ": " << verdict(report);
  if (report.damages > 0) out << ", " << count_of(report.damages, "damage", "damages");
  if (report.leaks > 0) out << ", " << count_of(report.leaks, "leak", "leaks") << " of " << format_size(report.leaked_bytes);
  if (report.repaired > 0) out << ", " << count_of(report.repaired, "finding", "findings") << " repaired";
  out << ", " << format_size(report.allocated_bytes) << " of data stored";
  if (report.damaged_bytes.value_or(0) > 0) out << ", " << format_size(*report.damaged_bytes) << " damaged";
  if (report.branch_point_bytes.value_or(0) > 0) out << ", " << format_size(*report.branch_point_bytes) << " held by branch points only";
  if (report.free_bytes.value_or(0) > 0) out << ", " << format_size(*report.free_bytes) << " free";
  out << '\n';
}

void print_document(std::ostream& out, const std::string& path, const CheckReport& report) {
  Json findings = Json::array();
  for (const Finding& finding : report.findings) findings.push_back(to_json(finding));
  print_json(out, {{"file", path},
                   {"result", verdict(report)},
                   {"damages", report.damages},
                   {"leaks", report.leaks},
                   {"repaired", report.repaired},
                   {"leaked_bytes", report.leaked_bytes},
                   {"allocated_bytes", report.allocated_bytes},
                   {"free_bytes", json_or_null(report.free_bytes)},
                   {"branch_point_bytes", json_or_null(report.branch_point_bytes)},
                   {"damaged_bytes", json_or_null(report.damaged_bytes)},
                   {"findings", findings}});
}

int print_report(const Arguments& arguments, Session& session, const CheckReport& report) {
  arguments.has("json") ? print_document(session.out, arguments.operand(0), report) : print_text(session.out, arguments.operand(0), report);
  return exit_code(report);
}

/// A file too damaged to be opened has been checked all the same: the reason is the finding.
int report_unopened(const Arguments& arguments, Session& session, const Error& e) {
  if (arguments.has("json")) {
    CheckReport report;
    Finding finding;
    finding.message = e.message();
    finding.file_offset = e.offset();
    report.add(finding);
    print_document(session.out, arguments.operand(0), report);
  }
  session.messages.error(e.what());
  return kCheckDamaged;
}

std::optional<Image> open_image(const Arguments& arguments, Session& session, int& code) {
  OpenOptions options = open_options(arguments, session);
  options.for_check = true;
  if (arguments.has("repair")) {
    if (options.ignore_locks) throw UsageError("-U is for reading and cannot go with --repair");
    options.access = Access::read_write;
  }
  try {
    return Image::open(arguments.operand(0), options);
  } catch (const Error& e) {
    if (e.code() != Errc::corrupt) throw;
    code = report_unopened(arguments, session, e);
    return std::nullopt;
  }
}

int run(const Arguments& arguments, Session& session) {
  int code = kDone;
  std::optional<Image> image = open_image(arguments, session, code);
  if (!image) return code;
  Progress progress(progress_style(arguments), "check", session.messages);
  CheckReport report;
  try {
    report = image->check(check_options(arguments, session, progress));
  } catch (const Error& e) {
    if (e.code() != Errc::unsupported) throw;
    session.messages.error(e.what());
    return kCheckUnsupported;
  }
  image->close();
  progress.finish();
  return print_report(arguments, session, report);
}

}  // namespace

const Command& check_command() {
  static const Command command = {
      .name = "check",
      .operands = "FILE",
      .summary = "verify an image, and repair it on request",
      .description =
          "Looks at the whole structure of the image (this layer, not its parents): tables against each other, shared, unreachable and "
          "out-of-file space. With --data "
          "it also reads, verifies and decodes all data.\n\n"
          "Without --repair nothing is written. A stale mark of an unclean end is a note, not damage.",
      .options =
          option_rows({{format_option(),
                        {0, "data", "", "also read, verify and decode everything that is stored"},
                        {0,
                         "repair",
                         "HOW",
                         "safe: mend only what cannot lose data; all: also drop references to places where no data can be, naming each "
                         "range that is lost",
                         {"safe", "all"}},
                        unlocked_option("check an image that another program is writing: what it is about to change may look damaged")},
                       progress_options(),
                       parent_options(),
                       reference_options(),
                       opening_options(),
                       {sync_option(), json_option()}}),
      .min_operands = 1,
      .max_operands = 1,
      .exit_codes = {{0, "clean, or all repaired"},
                     {1, "the check failed or the file could not be opened"},
                     {kCheckDamaged, "damaged"},
                     {kCheckLeaks, "no damage, but space that nothing refers to"},
                     {kCheckUnsupported, "this format has nothing to check"}},
      .examples = {"varve check disk.vmdk", "varve check --data --json disk.vmdk", "varve check -f vmdk --repair=safe disk.vmdk"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
