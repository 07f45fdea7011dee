#include <chrono>
#include <ctime>

#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "text_output.h"

namespace varve::cli {
namespace {

uint64_t now() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

/// "2026-11-24 23:05:07", UTC.
std::string time_text(uint64_t nanoseconds) {
  const auto seconds = static_cast<std::time_t>(nanoseconds / 1000000000);
  std::tm parts{};
  std::string text(sizeof("YYYY-MM-DD hh:mm:ss"), '\0');
  if (gmtime_r(&seconds, &parts) == nullptr) return "?";
  text.resize(std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts));
  return text;
}

Json to_json(const SnapshotInfo& info) {
  Json json = {{"name", info.name},
               {"uuid", info.uuid},
               {"id", info.id},
               {"parent", info.parent},
               {"time", time_text(info.time)},
               {"virtual_size", info.virtual_size},
               {"branch_point", info.branch_point},
               {"current", info.current}};
  if (info.exclusive_bytes) json["exclusive_bytes"] = *info.exclusive_bytes;
  return json;
}

/// Below each snapshot, indented, those that are based on it.
void print_tree(std::ostream& out, const std::vector<SnapshotInfo>& all, uint64_t parent, size_t depth) {
  for (const SnapshotInfo& info : all) {
    if (info.parent != parent) continue;
    out << std::string(2 * depth, ' ') << (info.branch_point ? "(branch point)" : escape_text(info.name)) << "  " << time_text(info.time)
        << "  " << format_size(info.virtual_size);
    if (info.exclusive_bytes) out << ", " << format_size(*info.exclusive_bytes) << " its own";
    out << (info.current ? "  <- the disk is based on this\n" : "\n");
    print_tree(out, all, info.id, depth + 1);
  }
}

int list(const Arguments& arguments, Session& session) {
  OpenOptions options = open_options(arguments, session.messages);
  options.ignore_parent = true;
  Image image = Image::open(arguments.operand(1), options);
  const std::vector<SnapshotInfo> all = image.snapshots();
  if (arguments.has("json")) {
    Json rows = Json::array();
    for (const SnapshotInfo& info : all) rows.push_back(to_json(info));
    print_json(session.out, {{"snapshots", rows}});
  } else {
    print_tree(session.out, all, 0, 0);
  }
  return kDone;
}

struct Action {
  std::string_view name;
  unsigned names;  ///< operands behind the file
  void (*run)(Image& image, const Arguments& arguments);
};

constexpr Action kActions[] = {
    {"create", 1, [](Image& image, const Arguments& arguments) { image.create_snapshot(arguments.operand(2), now()); }},
    {"delete", 1, [](Image& image, const Arguments& arguments) { image.delete_snapshot(arguments.operand(2)); }},
    {"revert", 1, [](Image& image, const Arguments& arguments) { image.revert_to_snapshot(arguments.operand(2)); }},
    {"rename", 2, [](Image& image, const Arguments& arguments) { image.rename_snapshot(arguments.operand(2), arguments.operand(3)); }},
};

const Action& find_action(const std::string& name) {
  std::vector<std::string> known = {"list"};
  for (const Action& action : kActions) {
    if (action.name == name) return action;
    known.emplace_back(action.name);
  }
  throw UsageError("there is no 'snapshot " + name + "'", did_you_mean(name, known));
}

int run(const Arguments& arguments, Session& session) {
  const std::string& name = arguments.operand(0);
  if (name == "list") {
    if (arguments.operands().size() != 2) throw UsageError("'snapshot list' takes one FILE");
    return list(arguments, session);
  }
  const Action& action = find_action(name);
  if (arguments.operands().size() != 2 + action.names)
    throw UsageError("'snapshot " + name + "' takes FILE and " + (action.names == 1 ? "NAME" : "OLD and NEW"));
  OpenOptions options = open_options(arguments, session.messages);
  options.access = Access::read_write;
  Image image = Image::open(arguments.operand(1), options);
  action.run(image, arguments);
  image.close();
  if (arguments.has("json")) print_json(session.out, {{"file", arguments.operand(1)}, {"done", name}});
  return kDone;
}

}  // namespace

const Command& snapshot_command() {
  static const Command command = {
      .name = "snapshot",
      .operands = "create|list|delete|revert|rename FILE [NAME [NEW]]",
      .summary = "snapshots of an image that has them",
      .description =
          "create keeps the disk as it is under NAME. list shows what is kept, as a tree, with what deleting each would free. delete frees "
          "what "
          "nothing else is based on. revert makes the disk what NAME holds; what was written since the last snapshot is lost. rename gives "
          "NAME "
          "the name NEW.\n\n"
          "A snapshot is read with -l, as in 'varve convert -l NAME'. An image is written in place only if its format is certain: give it "
          "with "
          "-f.",
      .options = option_rows({{format_option(), unlocked_option("list the snapshots of an image that another program is writing")},
                              parent_options(),
                              reference_options(),
                              {sync_option(), json_option()}}),
      .min_operands = 2,
      .max_operands = 4,
      .exit_codes = {},
      .examples = {"varve snapshot create -f varve disk.varve before-upgrade", "varve snapshot list disk.varve",
                   "varve snapshot revert -f varve disk.varve before-upgrade"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
