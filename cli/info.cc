#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "secrets.h"
#include "snapshot_tree.h"
#include "text_output.h"

namespace varve::cli {
namespace {

void print_layer(std::ostream& out, const ImageInfo& info, const std::vector<KeySlotInfo>& slots) {
  FieldList fields;
  fields.add("file", info.path);
  fields.add("format", info.format);
  fields.add("virtual size", info.locked ? "unknown without the key" : exact_size(info.virtual_size));
  if (info.allocated_bytes) fields.add("on the host", exact_size(*info.allocated_bytes));
  if (info.cluster_size != 0) fields.add("cluster size", exact_size(info.cluster_size));
  if (info.encrypted) fields.add("encrypted", info.locked ? "yes, locked" : "yes");
  for (const KeySlotInfo& slot : slots) fields.add("key slot " + std::to_string(slot.slot), key_slot_text(slot.how));
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

/// What FILE holds besides its disk.
struct Contents {
  std::vector<KeySlotInfo> key_slots;
  std::optional<std::vector<SnapshotInfo>> snapshots;  ///< nullopt: its format has none, or they can't be seen
};

Contents contents_of(Image& image, const ImageInfo& info) {
  Contents contents;
  if (info.encrypted) contents.key_slots = image.key_slots();
  if (image.format().can.snapshots && !info.locked) contents.snapshots = image.snapshots();
  return contents;
}

void print_document(std::ostream& out, const std::vector<ImageInfo>& layers, const Contents& contents, bool whole_chain) {
  Json list = Json::array();
  for (const ImageInfo& layer : layers) list.push_back(to_json(layer));
  if (layers.front().encrypted) list.front()["key_slots"] = to_json(contents.key_slots);
  if (contents.snapshots) list.front()["snapshots"] = to_json(*contents.snapshots);
  print_json(out, whole_chain ? Json{{"layers", list}} : list.front());
}

int run(const Arguments& arguments, Session& session) {
  OpenOptions options = open_options(arguments, session);
  options.for_info = true;
  if (!names_key(arguments)) options.secret = {};  // what an encrypted image shows to anybody is enough
  const bool whole_chain = arguments.has("chain");
  // One layer tells about itself even if its parents are elsewhere.
  if (!whole_chain && options.parent.empty()) options.ignore_parent = true;
  Image image = Image::open(arguments.operand(0), options);
  const std::vector<ImageInfo> layers = whole_chain ? image.chain() : std::vector<ImageInfo>{image.info()};
  const Contents contents = contents_of(image, layers.front());
  image.close();

  if (arguments.has("json")) {
    print_document(session.out, layers, contents, whole_chain);
    return kDone;
  }
  for (size_t i = 0; i < layers.size(); ++i) {
    if (i > 0) session.out << '\n';
    print_layer(session.out, layers[i], i == 0 ? contents.key_slots : std::vector<KeySlotInfo>());
    if (i == 0 && contents.snapshots) print_snapshot_tree(session.out, *contents.snapshots, 2);
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
          "given.\n\n"
          "Of an encrypted image it tells what is in clear and asks for nothing; with one of the --key- options it tells all.",
      .options = option_rows({{format_option(), {0, "chain", "", "tell about the parents too, the image first"}, unlocked_option()},
                              parent_options(),
                              reference_options(),
                              opening_options(),
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
