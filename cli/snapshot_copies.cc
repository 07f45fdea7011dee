// snapshot diff and export: what snapshots hold, told and taken out.
#include <filesystem>
#include <iomanip>

#include "arguments.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "progress.h"
#include "snapshot_actions.h"
#include "text_output.h"
#include "varve/ops.h"

namespace varve::cli {
namespace {

/// Ranges are printed as they are found: there may be more than memory holds.
template <typename Print>
void each_difference(Image& image, const std::string& from, const std::string& to, Session& session, Print print) {
  image.diff_snapshots(from, to, [&](const Extent& range) {
    session.cancel.check();
    print(range);
    if (!session.out) throw OutputFailed();
  });
}

/// The directory of `path`, free of links, so that ".." in a name that counts from there leads where it seems to.
std::filesystem::path real_directory(const std::string& path) {
  const std::filesystem::path directory = std::filesystem::path(path).parent_path();
  std::error_code failed;
  std::filesystem::path real = std::filesystem::canonical(directory.empty() ? "." : directory, failed);
  if (failed) throw Error(Errc::not_found, "the directory can't be found: " + failed.message()).in(path);
  return real;
}

/// FILE as a child beside DST names it.
std::string name_from(const std::string& target, const std::string& file) {
  const std::filesystem::path name = real_directory(file) / std::filesystem::path(file).filename();
  return name.lexically_proximate(real_directory(target)).string();
}

}  // namespace

int diff_snapshots(const Arguments& arguments, Session& session) {
  OpenOptions options = open_options(arguments, session);
  options.ignore_parent = options.parent.empty();
  const std::string& path = arguments.operand(1);
  const std::string& from = arguments.operand(2);
  const std::string to = arguments.operands().size() > 3 ? arguments.operand(3) : std::string();
  options.snapshot = to;
  Image image = Image::open(path, options);
  std::ostream& out = session.out;
  if (!arguments.has("json")) {
    out << std::setw(20) << "OFFSET" << std::setw(20) << "LENGTH"
        << "  KIND\n";
    each_difference(image, from, to, session, [&](const Extent& range) {
      out << std::setw(20) << range.offset << std::setw(20) << range.length << "  " << extent_kind_name(range.kind) << '\n';
    });
    return kDone;
  }
  out << "{\n  \"file\": " << json_line(path) << ",\n  \"from\": " << json_line(from)
      << ",\n  \"to\": " << json_line(to.empty() ? Json(nullptr) : Json(to)) << ",\n  \"virtual_size\": " << image.size()
      << ",\n  \"ranges\": [";
  const char* separator = "\n";
  uint64_t bytes = 0;
  each_difference(image, from, to, session, [&](const Extent& range) {
    const Json json = {{"offset", range.offset}, {"length", range.length}, {"kind", extent_kind_name(range.kind)}};
    out << separator << "    " << json_line(json);
    separator = ",\n";
    bytes += range.length;
  });
  out << "\n  ],\n  \"changed_bytes\": " << bytes << "\n}\n";
  return kDone;
}

int export_snapshot(const Arguments& arguments, Session& session) {
  const std::string& source = arguments.operand(1);
  const std::string& name = arguments.operand(2);
  const std::string& target = arguments.operand(3);
  ConvertOptions options;
  options.source_format = format_value(arguments, "-f");
  options.target_format = target_format(arguments, "-O", target);
  options.open = open_options(arguments, session);
  options.open.snapshot = name;
  options.create = create_options(arguments, session);
  options.create.parent_secret = options.open.secret;  // what was read for the one serves the other
  options.copy.threads = thread_count(arguments);
  options.copy.cancel = &session.cancel;
  options.since = arguments.value("since");
  if (!options.since.empty()) {
    options.create.parent = name_from(target, source);
    options.create.parent_format = options.source_format;
  }
  Progress progress(progress_style(arguments), "export", session.messages);
  options.copy.progress = progress.function();
  const CopyReport report = convert(source, target, options);
  progress.finish();
  if (arguments.has("json")) {
    print_json(session.out, {{"source", source},
                             {"snapshot", name},
                             {"since", options.since.empty() ? Json(nullptr) : Json(options.since)},
                             {"target", target},
                             {"virtual_size", report.virtual_size},
                             {"data_bytes", report.data_bytes}});
  }
  return kDone;
}

}  // namespace varve::cli
