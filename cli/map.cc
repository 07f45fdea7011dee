#include <iomanip>

#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "secrets.h"
#include "varve/ops.h"
#include "varve/text.h"

namespace varve::cli {
namespace {

using LayerFiles = std::vector<std::vector<std::string>>;

/// The file that plain data lies in; empty if it has no place of its own.
std::string host_file(const LayerFiles& layers, const Extent& extent) {
  if (!extent.host_offset || extent.depth >= layers.size()) return {};
  const std::vector<std::string>& files = layers[extent.depth];
  return extent.host_file < files.size() ? files[extent.host_file] : std::string();
}

void check_output(const std::ostream& out) {
  if (!out) throw OutputFailed();
}

/// Runs are printed as they are found: a map may be larger than memory.
void print_text(std::ostream& out, Image& image, const LayerFiles& layers, const CancelToken& cancel) {
  out << std::setw(20) << "OFFSET" << std::setw(20) << "LENGTH"
      << "  " << std::left << std::setw(12) << "KIND" << std::right << std::setw(5) << "DEPTH" << std::setw(20) << "HOST OFFSET"
      << "  FILE\n";
  map(
      image,
      [&](const Extent& extent) {
        std::string kind(extent_kind_name(extent.kind));
        if (extent.compressed) kind = "compressed";
        out << std::setw(20) << extent.offset << std::setw(20) << extent.length << "  " << std::left << std::setw(12) << kind << std::right
            << std::setw(5) << extent.depth << std::setw(20) << (extent.host_offset ? std::to_string(*extent.host_offset) : "-");
        const std::string file = host_file(layers, extent);
        check_output(out);
        out << "  " << (file.empty() ? "-" : escape_text(file)) << '\n';
      },
      &cancel);
}

void print_document(std::ostream& out, const std::string& path, Image& image, const LayerFiles& layers, const CancelToken& cancel) {
  out << "{\n  \"file\": " << json_line(path) << ",\n  \"virtual_size\": " << image.size() << ",\n  \"extents\": [";
  const char* separator = "\n";
  map(
      image,
      [&](const Extent& extent) {
        const std::string file = host_file(layers, extent);
        const Json json = {{"offset", extent.offset},
                           {"length", extent.length},
                           {"kind", extent_kind_name(extent.kind)},
                           {"compressed", extent.compressed},
                           {"depth", extent.depth},
                           {"host_offset", json_or_null(extent.host_offset)},
                           {"file", file.empty() ? Json(nullptr) : Json(file)}};
        out << separator << "    " << json_line(json);
        separator = ",\n";
        check_output(out);
      },
      &cancel);
  out << "\n  ]\n}\n";
}

int run(const Arguments& arguments, Session& session) {
  Image image = Image::open(arguments.operand(0), open_options(arguments, session));
  LayerFiles layers;
  for (const ImageInfo& layer : image.chain()) layers.push_back(layer.files);
  if (arguments.has("json")) {
    print_document(session.out, arguments.operand(0), image, layers, session.cancel);
  } else {
    print_text(session.out, image, layers, session.cancel);
  }
  image.close();
  return kDone;
}

}  // namespace

const Command& map_command() {
  static const Command command = {
      .name = "map",
      .operands = "FILE",
      .summary = "which ranges of the disk are stored, and where",
      .description =
          "Lists the runs of the disk in order: offset and length in bytes; kind (data, compressed data, zero, or absent: stored in no "
          "layer); depth in the chain (0 "
          "is FILE itself, 1 its parent); and for plain data the offset in the host file that holds it.",
      .options = option_rows({{format_option(), snapshot_option(), unlocked_option()},
                              parent_options(),
                              reference_options(),
                              opening_options(),
                              {json_option()}}),
      .min_operands = 1,
      .max_operands = 1,
      .exit_codes = {},
      .examples = {"varve map disk.vmdk", "varve map --json delta.vmdk"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
