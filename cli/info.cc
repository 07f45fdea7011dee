#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "snapshot_tree.h"
#include "text_output.h"

namespace varve::cli {
namespace {

void print_layer(std::ostream& out, const ImageInfo& info) {
  FieldList fields;
  fields.add("file", info.path);
  fields.add("format", info.format);
  fields.add("virtual size", exact_size(info.virtual_size));
  if (info.allocated_bytes) fields.add("on the host", exact_size(*info.allocated_bytes));
  if (info.cluster_size != 0) fields.add("cluster size", exact_size(info.cluster_size));
  if (info.encrypted) fields.add("encrypted", "yes");
  // The first file is the image itself.
  for (size_t i = 1; i < info.files.size(); ++i) fields.add("further file", info.files[i]);
  if (info.parent) {
    const ParentInfo& parent = *info.parent;
    std::string text = parent.name;
    if (!parent.format.empty()) text += ", " + parent.format;
    if (!parent.identity.empty()) text += ", " + parent.identity;
    fields.add("parent", text);
  }
  for (const auto& [name, value] : info.details) fields.add(name, value_text(value));
  for (const std::string& warning : info.warnings) fields.add("warning", warning);
  fields.print(out);
}

int run(const Arguments& arguments, Session& session) {
  OpenOptions options = open_options(arguments, session.messages);
  const bool whole_chain = arguments.has("chain");
  // One layer tells about itself even if its parents are elsewhere.
  if (!whole_chain && options.parent.empty()) options.ignore_parent = true;
  Image image = Image::open(arguments.operand(0), options);
  const std::vector<ImageInfo> layers = whole_chain ? image.chain() : std::vector<ImageInfo>{image.info()};
  std::vector<SnapshotInfo> snapshots;
  if (image.format().can.snapshots) snapshots = image.snapshots();
  image.close();

  if (arguments.has("json")) {
    Json list = Json::array();
    for (const ImageInfo& layer : layers) list.push_back(to_json(layer));
    if (image.format().can.snapshots) list.front()["snapshots"] = to_json(snapshots);
    print_json(session.out, whole_chain ? Json{{"layers", list}} : list.front());
    return kDone;
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    if (i > 0) session.out << '\n';
    print_layer(session.out, layers[i]);
    if (i == 0) print_snapshot_tree(session.out, snapshots, 2);
  }
  return kDone;
}

}  // namespace

const Command& info_command() {
  static const Command command = {
      .name = "info",
      .operands = "FILE",
      .summary = "format, sizes, options, snapshots, parents and warnings of an image",
      .description =
          "Tells what the image says about itself, without reading its data. Its parents are only named, not opened, unless --chain is "
          "given.",
      .options = option_rows({{format_option(), {0, "chain", "", "tell about the parents too, the image first"}, unlocked_option()},
                              parent_options(),
                              reference_options(),
                              {json_option()}}),
      .min_operands = 1,
      .max_operands = 1,
      .exit_codes = {},
      .examples = {"varve info disk.vmdk", "varve info --chain --json delta.vmdk"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
