#include "secrets.h"

#include <fcntl.h>

#include <algorithm>
#include <climits>
#include <map>
#include <memory>
#include <optional>

#include "options.h"
#include "secret_input.h"

namespace varve::cli {
namespace {

constexpr unsigned kTries = 3;  // to type the passphrase of an image
constexpr unsigned kLastSlot = 15;

const std::vector<std::string_view>& kinds() {
  static const std::vector<std::string_view> all = {"passphrase", "raw"};
  return all;
}

KeySecret copy_of(const KeySecret& secret) { return {secret.kind, secret.bytes.copy()}; }

/// A descriptor that we were given. One that we have opened ourselves, such as that of the signals, closes on exec.
int descriptor_value(const Arguments& arguments, const std::string& option) {
  const auto fd = static_cast<int>(number_value(arguments.value(option), "--" + option, 0, INT_MAX));
  const int flags = fcntl(fd, F_GETFD);
  if (flags < 0 || (flags & FD_CLOEXEC) != 0)
    throw UsageError("--" + option + ": descriptor " + std::to_string(fd) + " is not open",
                     "have the shell open it, as in " + std::to_string(fd) + "<FILE");
  return fd;
}

/// What the options of one set name: "" or "out-" goes before their names.
class KeySource {
 public:
  KeySource(const Arguments& arguments, Session& session, const std::string& prefix)
      : session_(session),
        kind_(arguments.value(prefix + "key-format") == "raw" ? SecretKind::raw_key : SecretKind::passphrase),
        files_(arguments.values(prefix + "key-file")) {
    const std::string options[] = {prefix + "key-file", prefix + "key-fd", prefix + "key-command"};
    std::string given;
    for (const std::string& option : options) {
      if (!arguments.has(option)) continue;
      if (!given.empty()) throw UsageError("--" + option + " and another source of the same secret exclude each other");
      given = option;
    }
    if (given.empty() && kind_ == SecretKind::raw_key)
      throw UsageError("a raw key can't be typed", "say where it is, with --" + options[0]);
    if (given == options[0] && prefix == "out-") files_.erase(files_.begin(), files_.end() - 1);
    if (given == options[1]) descriptor_ = descriptor_value(arguments, options[1]);
    if (given == options[2]) command_ = arguments.value(options[2]);
    secrets_.resize(given.empty() ? 0 : std::max<size_t>(1, files_.size()));
  }

  bool is_named() const { return !secrets_.empty(); }
  std::optional<int> descriptor() const { return descriptor_; }

  /// The one that comes after `index` others.
  std::optional<KeySecret> get(size_t index) {
    if (index >= secrets_.size()) return std::nullopt;
    if (!secrets_[index]) secrets_[index] = read(index);
    return copy_of(*secrets_[index]);
  }

 private:
  KeySecret read(size_t index) const {
    if (command_) return run_key_command(*command_, kind_, session_.cancel);
    if (descriptor_) return read_key_descriptor(*descriptor_, kind_, session_.cancel);
    return read_key_file(files_[index], kind_, session_.messages, session_.cancel);
  }

  Session& session_;
  const SecretKind kind_;
  std::vector<std::string> files_;
  std::optional<int> descriptor_;
  std::optional<std::string> command_;
  std::vector<std::optional<KeySecret>> secrets_;  // those read so far
};

/// Passphrases typed for images, which may be opened more than once.
class Typed {
 public:
  explicit Typed(const CancelToken& cancel) : cancel_(cancel) {}

  std::optional<KeySecret> get(const SecretRequest& request) {
    const auto known = last_.find(request.path);
    if (request.attempt == 0 && known != last_.end()) return copy_of(known->second);
    if (request.attempt >= kTries) return std::nullopt;
    std::optional<KeySecret> typed = ask_passphrase(request.path, request.attempt > 0, cancel_);
    if (typed) last_.insert_or_assign(request.path, copy_of(*typed));
    return typed;
  }

 private:
  const CancelToken& cancel_;
  std::map<std::string, KeySecret> last_;  // by path
};

}  // namespace

std::vector<Option> key_options() {
  return {{0, "key-file", "FILE", "a file with the passphrase or key of an encrypted image; of several each is tried", {}, false, true},
          {0, "key-fd", "N", "the same from an open descriptor, up to its end"},
          {0, "key-command", "CMD", "the same from the first line that this command of the shell prints"},
          {0, "key-format", "KIND", "passphrase (the default), or raw: a key of 32 bytes", kinds()}};
}

std::vector<Option> out_key_options() {
  return {{0, "out-key-file", "FILE", "a file with the passphrase or key that is new"},
          {0, "out-key-fd", "N", "the same from an open descriptor, up to its end"},
          {0, "out-key-command", "CMD", "the same from the first line that this command of the shell prints"},
          {0, "out-key-format", "KIND", "passphrase (the default), or raw: a key of 32 bytes", kinds()}};
}

std::vector<Option> opening_options() {
  return option_rows({key_options(),
                      {{0, "key-slot", "N", "try no other key slot than this one, 0 to 15"},
                       {0, "require-encryption", "", "refuse an image or a parent that is not encrypted"},
                       {0, "min-generation", "N", "refuse an older state of the image than this one, as 'varve info' counts them"},
                       {0, "accept-older-state", "", "take an encrypted image whose newer superblock may be lost"}}});
}

SecretProvider key_provider(const Arguments& arguments, Session& session) {
  const auto source = std::make_shared<KeySource>(arguments, session, "");
  if (source->is_named()) return [source](const SecretRequest& request) { return source->get(request.attempt); };
  const auto typed = std::make_shared<Typed>(session.cancel);
  return [typed](const SecretRequest& request) { return typed->get(request); };
}

SecretProvider new_key_provider(const Arguments& arguments, Session& session) {
  const auto source = std::make_shared<KeySource>(arguments, session, "out-");
  const auto existing = KeySource(arguments, session, "").descriptor();
  if (existing && source->descriptor() == existing)
    throw UsageError("--key-fd and --out-key-fd are the same descriptor", "a descriptor can be read only once");
  if (source->is_named()) return [source](const SecretRequest&) { return source->get(0); };
  return [&session](const SecretRequest& request) { return std::optional(ask_new_passphrase(request.path, session.cancel)); };
}

bool names_key(const Arguments& arguments) {
  for (const Option& option : key_options())
    if (arguments.has(option.key())) return true;
  return arguments.has("key-slot");
}

bool names_new_key(const Arguments& arguments) {
  for (const Option& option : out_key_options())
    if (arguments.has(option.key())) return true;
  return false;
}

void refuse_key_from_stdin(const Arguments& arguments) {
  for (const std::string_view option : {"key-fd", "out-key-fd"})
    if (arguments.has(option) && number_value(arguments.value(option), "--" + std::string(option), 0, INT_MAX) == 0)
      throw UsageError("--" + std::string(option) + " is standard input, which is the source here");
}

unsigned slot_value(std::string_view text, std::string_view what) { return static_cast<unsigned>(number_value(text, what, 0, kLastSlot)); }

std::vector<KeySecret> secrets_of_files(const Arguments& arguments, std::string_view option, Session& session) {
  const SecretKind kind = arguments.value("key-format") == "raw" ? SecretKind::raw_key : SecretKind::passphrase;
  std::vector<KeySecret> all;
  for (const std::string& path : arguments.values(option)) all.push_back(read_key_file(path, kind, session.messages, session.cancel));
  return all;
}

}  // namespace varve::cli
