#include <algorithm>

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

int list(const Arguments& arguments, Session& session) {
  OpenOptions options = open_options(arguments, session);
  options.ignore_parent = true;
  options.for_info = true;
  options.secret = {};
  Image image = Image::open(arguments.operand(1), options);
  const std::vector<KeySlotInfo> slots = image.key_slots();
  if (arguments.has("json")) {
    print_json(session.out, {{"slots", to_json(slots)}});
    return kDone;
  }
  for (const KeySlotInfo& slot : slots) session.out << "slot " << slot.slot << "  " << key_slot_text(slot.how) << '\n';
  return kDone;
}

KeyDerivation derivation(const Arguments& arguments) {
  constexpr uint32_t kMostLog2 = 63;
  if (arguments.value("out-key-format") == "raw" && (arguments.has("kdf") || arguments.has("kdf-cost")))
    throw UsageError("--kdf and --kdf-cost are for passphrases: nothing is derived from a raw key", "leave them out");
  KeyDerivation how;
  if (arguments.value("kdf") == "pbkdf2") how.kind = KdfKind::pbkdf2;
  if (!arguments.has("kdf-cost")) return how;
  const std::string cost = arguments.value("kdf-cost");
  if (how.kind == KdfKind::pbkdf2)
    how.iterations = number_value(cost, "--kdf-cost", 1, UINT64_MAX);
  else
    how.log2_n = static_cast<uint32_t>(number_value(cost, "--kdf-cost", 1, kMostLog2));
  return how;
}

Image open_to_change(const Arguments& arguments, Session& session) {
  OpenOptions options = open_options(arguments, session);
  options.access = Access::read_write;
  options.ignore_parent = true;
  return Image::open(arguments.operand(1), options);
}

/// Of the file, just as it is asked for: after the secret that opens it.
KeySecret new_secret(const SecretProvider& provider, const Arguments& arguments) { return std::move(*provider({arguments.operand(1), 0})); }

/// SLOT, if it was given.
std::optional<unsigned> named_slot(const Arguments& arguments) {
  if (arguments.operands().size() < 3) return std::nullopt;
  return slot_value(arguments.operand(2), "SLOT");
}

unsigned opened_slot(Image& image, const std::string& path) {
  for (const KeySlotInfo& slot : image.key_slots())
    if (slot.opened) return slot.slot;
  throw Error(Errc::not_found, "it is not known which key slot has opened the image").in(path).hint("name it: key ... FILE SLOT");
}

int done_with(unsigned slot, Image& image, const Arguments& arguments, Session& session) {
  image.close();
  if (arguments.has("json"))
    print_json(session.out, {{"slot", slot}});
  else
    session.out << "slot " << slot << '\n';
  return kDone;
}

int add(const Arguments& arguments, Session& session) {
  const KeyDerivation how = derivation(arguments);
  const SecretProvider provider = new_key_provider(arguments, session);
  Image image = open_to_change(arguments, session);
  const unsigned slot = image.add_key(new_secret(provider, arguments), how);
  return done_with(slot, image, arguments, session);
}

int change(const Arguments& arguments, Session& session) {
  const KeyDerivation how = derivation(arguments);
  const std::optional<unsigned> named = named_slot(arguments);
  const SecretProvider provider = new_key_provider(arguments, session);
  Image image = open_to_change(arguments, session);
  const unsigned slot = named ? *named : opened_slot(image, arguments.operand(1));
  image.change_key(slot, new_secret(provider, arguments), how);
  return done_with(slot, image, arguments, session);
}

int remove(const Arguments& arguments, Session& session) {
  const std::optional<unsigned> named = named_slot(arguments);
  Image image = open_to_change(arguments, session);
  const unsigned slot = named ? *named : opened_slot(image, arguments.operand(1));
  image.remove_key(slot);
  return done_with(slot, image, arguments, session);
}

int rotate(const Arguments& arguments, Session& session) {
  RotateOptions options;
  options.also = secrets_of_files(arguments, "also-key-file", session);
  options.drop_others = arguments.has("drop-others");
  options.cancel = &session.cancel;
  Image image = open_to_change(arguments, session);
  Progress progress(progress_style(arguments), "rotate", session.messages);
  options.progress = progress.function();
  image.rotate_key(options);
  image.close();
  progress.finish();
  if (arguments.has("json")) print_json(session.out, {{"file", arguments.operand(1)}, {"done", "rotate"}});
  return kDone;
}

struct Action {
  std::string_view name;
  std::string_view operands;
  size_t most = 0;  ///< operands, the action included; FILE must be there
  int (*run)(const Arguments& arguments, Session& session);
  std::vector<std::vector<Option>> options;  ///< that not every action has
};

std::vector<Option> derivation_options() {
  return {{0, "kdf", "KIND", "add, change: how a key is derived from the new passphrase; scrypt without it", {"scrypt", "pbkdf2"}},
          {0, "kdf-cost", "N", "add, change: of scrypt log2 of its N (17 without it), of pbkdf2 the iterations (1000000 without it)"}};
}

std::vector<Option> rotate_options() {
  return {{0, "also-key-file", "FILE", "rotate: the secret, like --key-format, of another slot that is kept", {}, false, true},
          {0, "drop-others", "", "rotate: all slots go whose secrets were not given"}};
}

const std::vector<Action>& actions() {
  static const std::vector<Action> all = {
      {"list", "FILE", 2, list, {{unlocked_option()}}},
      {"add", "FILE", 2, add, {opening_options(), out_key_options(), derivation_options(), {sync_option()}}},
      {"change", "FILE [SLOT]", 3, change, {opening_options(), out_key_options(), derivation_options(), {sync_option()}}},
      {"remove", "FILE [SLOT]", 3, remove, {opening_options(), {sync_option()}}},
      {"rotate", "FILE", 2, rotate, {opening_options(), rotate_options(), progress_options(), {sync_option()}}},
  };
  return all;
}

bool has_option(const Action& action, const std::string& key) {
  return std::ranges::any_of(action.options, [&](const std::vector<Option>& rows) {
    return std::ranges::any_of(rows, [&](const Option& row) { return row.key() == key; });
  });
}

void refuse_options_of_others(const Action& action, const Arguments& arguments, const std::string& name) {
  for (const Action& other : actions())
    for (const std::vector<Option>& rows : other.options)
      for (const Option& row : rows)
        if (arguments.has(row.key()) && !has_option(action, row.key()))
          throw UsageError(name + " has no option " + (row.name.empty() ? "" : "--") + row.key());
}

int run(const Arguments& arguments, Session& session) {
  std::vector<std::string> known;
  for (const Action& action : actions()) {
    known.emplace_back(action.name);
    if (action.name != arguments.operand(0)) continue;
    const std::string name = "'key " + std::string(action.name) + "'";
    if (arguments.operands().size() > action.most) throw UsageError(name + " takes " + std::string(action.operands));
    refuse_options_of_others(action, arguments, name);
    return action.run(arguments, session);
  }
  throw UsageError("there is no 'key " + arguments.operand(0) + "'", did_you_mean(arguments.operand(0), known));
}

}  // namespace

const Command& key_command() {
  static const Command command = {
      .name = "key",
      .operands = "list|add|change|remove|rotate FILE [SLOT]",
      .summary = "key slots of an encrypted image",
      .description =
          "  list FILE                 show the slots; needs no secret\n"
          "  add FILE                  let another secret open the image, too, and tell its slot\n"
          "  change FILE [SLOT]        replace the secret of SLOT, or of the slot that was opened\n"
          "  remove FILE [SLOT]        let that secret open the image no more; the last one stays\n"
          "  rotate FILE               encrypt everything anew under another master key\n\n"
          "An encrypted image has a master key and up to 16 slots, each of which gives it away for one secret: a passphrase, or a raw key "
          "of "
          "32 bytes. The --key- options say what opens the image, the --out-key- options what is new; without them you are asked at the "
          "terminal.\n\n"
          "remove and change free nothing that is elsewhere: copies of FILE, and perhaps the medium, still hold the old slot, and who had "
          "its "
          "secret before can read what such a copy holds, and whatever else was encrypted under that master key. Only rotate keeps what is "
          "written later from him. It keeps the slots of the secrets that it is given, by --key- options and --also-key-file, and needs "
          "--drop-others if there are more. It takes up to as much space as FILE has meanwhile. If it is stopped FILE is as usable as "
          "before, and running it again goes on.\n\n"
          "An image is written in place only if its format is certain: give it with -f.",
      .options = option_rows({{format_option(), unlocked_option()},
                              opening_options(),
                              out_key_options(),
                              derivation_options(),
                              rotate_options(),
                              progress_options(),
                              reference_options(),
                              {sync_option(), json_option()}}),
      .min_operands = 2,
      .max_operands = 3,
      .exit_codes = {},
      .examples = {"varve key list disk.varve", "varve key add -f varve --key-file old --out-key-file new disk.varve",
                   "varve key change -f varve disk.varve", "varve key remove -f varve --key-file old disk.varve 1",
                   "varve key rotate -f varve --key-file mine --also-key-file theirs --drop-others disk.varve"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
