#include <algorithm>

#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "secrets.h"
#include "snapshot_actions.h"
#include "snapshot_tree.h"

namespace varve::cli {
namespace {

int list(const Arguments& arguments, Session& session) {
  OpenOptions options = open_options(arguments, session);
  options.ignore_parent = options.parent.empty();
  Image image = Image::open(arguments.operand(1), options);
  const std::vector<SnapshotInfo> all = image.snapshots();
  if (arguments.has("json"))
    print_json(session.out, {{"snapshots", to_json(all)}});
  else
    print_snapshot_tree(session.out, all);
  return kDone;
}

/// An action that changes FILE in place.
int change(const Arguments& arguments, Session& session, void (*action)(Image& image, const Arguments& arguments)) {
  OpenOptions options = open_options(arguments, session);
  options.access = Access::read_write;
  Image image = Image::open(arguments.operand(1), options);
  action(image, arguments);
  image.close();
  if (arguments.has("json")) print_json(session.out, {{"file", arguments.operand(1)}, {"done", arguments.operand(0)}});
  return kDone;
}

int create(const Arguments& arguments, Session& session) {
  return change(arguments, session, [](Image& image, const Arguments& words) { image.create_snapshot(words.operand(2), time_now()); });
}
int remove(const Arguments& arguments, Session& session) {
  return change(arguments, session,
                [](Image& image, const Arguments& words) { image.delete_snapshot(words.operand(2), words.has("force")); });
}
int revert(const Arguments& arguments, Session& session) {
  return change(arguments, session, [](Image& image, const Arguments& words) { image.revert_to_snapshot(words.operand(2)); });
}
int rename(const Arguments& arguments, Session& session) {
  return change(arguments, session,
                [](Image& image, const Arguments& words) { image.rename_snapshot(words.operand(2), words.operand(3)); });
}

struct Action {
  std::string_view name;
  std::string_view operands;
  size_t least = 0;  ///< operands, the action included
  size_t most = 0;
  int (*run)(const Arguments& arguments, Session& session);
  std::vector<std::string_view> options;  ///< that not every action has
};

/// Options that not every action has; export has them all.
const std::vector<std::string_view>& special_options() {
  static const std::vector<std::string_view> all = {
      "-O",           "-o",         "since",           "force",         "-j", "-p", "progress", "quiet", "max-output-bytes", "-U", "sync",
      "out-key-file", "out-key-fd", "out-key-command", "out-key-format"};
  return all;
}

const std::vector<Action>& actions() {
  static const std::vector<Action> all = {
      {"create", "FILE NAME", 3, 3, create, {"sync"}},
      {"list", "FILE", 2, 2, list, {"-U"}},
      {"delete", "FILE NAME", 3, 3, remove, {"sync", "force"}},
      {"revert", "FILE NAME", 3, 3, revert, {"sync"}},
      {"rename", "FILE NAME NEW", 4, 4, rename, {"sync"}},
      {"diff", "FILE FROM [TO]", 3, 4, diff_snapshots, {"-U"}},
      {"export", "FILE NAME DST", 4, 4, export_snapshot, special_options()},
  };
  return all;
}

const Action& find_action(const std::string& name) {
  std::vector<std::string> known;
  for (const Action& action : actions()) {
    if (action.name == name) return action;
    known.emplace_back(action.name);
  }
  throw UsageError("there is no 'snapshot " + name + "'", did_you_mean(name, known));
}

int run(const Arguments& arguments, Session& session) {
  const Action& action = find_action(arguments.operand(0));
  const std::string name = "'snapshot " + std::string(action.name) + "'";
  const size_t count = arguments.operands().size();
  if (count < action.least || count > action.most) throw UsageError(name + " takes " + std::string(action.operands));
  for (const std::string_view option : special_options()) {
    if (arguments.has(option) && std::find(action.options.begin(), action.options.end(), option) == action.options.end())
      throw UsageError(name + " has no option " + (option[0] == '-' ? "" : "--") + std::string(option));
  }
  return action.run(arguments, session);
}

std::vector<Option> option_table() {
  return option_rows({{format_option(),
                       {'O', "", "FORMAT", "export: format of DST; without it, that of DST's extension"},
                       create_options_option(),
                       {0, "since", "BASE", "export: only what differs from snapshot BASE, as a child of FILE@BASE"},
                       force_option("delete a snapshot that files were made over; export: replace DST if it exists"),
                       threads_option(),
                       unlocked_option()},
                      progress_options(),
                      parent_options(),
                      reference_options(),
                      opening_options(),
                      out_key_options(),
                      {{0, "max-output-bytes", "SIZE", "export: give up rather than write more than this"}, sync_option(), json_option()}});
}

}  // namespace

const Command& snapshot_command() {
  static const Command command = {
      .name = "snapshot",
      .operands = "create|list|delete|revert|rename|diff|export FILE [NAME ...]",
      .summary = "snapshots of an image that has them",
      .description =
          "  create FILE NAME          keep the disk as it is\n"
          "  list FILE                 show what is kept, as a tree\n"
          "  delete FILE NAME          free what nothing else is based on\n"
          "  revert FILE NAME          make the disk what NAME holds\n"
          "  rename FILE NAME NEW      give NAME another name\n"
          "  diff FILE FROM [TO]       where TO, or the disk, differs from FROM\n"
          "  export FILE NAME DST      write the disk of NAME into a new file\n\n"
          "list shows with each snapshot what deleting it would free. revert loses what was written since the last snapshot. diff lists "
          "whole clusters; those that were written anew differ, even if with the same bytes. With --since export writes a child file that "
          "holds only what differs from BASE: FILE and its snapshot BASE are needed to read it, so that is marked as held, and delete "
          "refuses it without --force.\n\n"
          "A snapshot is read with -l, as in 'varve convert -l NAME'. An image is written in place only if its format is certain: give it "
          "with -f.",
      .options = option_table(),
      .min_operands = 2,
      .max_operands = 4,
      .exit_codes = {},
      .examples = {"varve snapshot create -f varve disk.varve before-upgrade", "varve snapshot list disk.varve",
                   "varve snapshot revert -f varve disk.varve before-upgrade", "varve snapshot diff disk.varve monday tuesday",
                   "varve snapshot export --since monday disk.varve tuesday tuesday.varve"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
