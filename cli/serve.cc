#include <algorithm>
#include <map>
#include <memory>

#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "messages.h"
#include "nbdkit_program.h"
#include "options.h"
#include "secrets.h"
#include "varve/error.h"

namespace varve::cli {
namespace {

// ---- where clients come from -----------------------------------------------------------------------------------------------------------

struct Address {
  std::string host;
  std::string port;
  bool is_loopback() const { return host.starts_with("127.") || host == "::1" || host == "localhost"; }
};

/// HOST:PORT or [IPV6]:PORT.
Address address_value(const std::string& text) {
  const size_t colon = text.rfind(':');
  Address address;
  if (colon != std::string::npos) {
    address = {text.substr(0, colon), text.substr(colon + 1)};
    if (address.host.size() > 2 && address.host.front() == '[' && address.host.back() == ']')
      address.host = address.host.substr(1, address.host.size() - 2);
    else if (address.host.find(':') != std::string::npos)
      address.host.clear();
  }
  if (address.host.empty())
    throw UsageError("--listen cannot be '" + text + "'", "give address and port, such as 127.0.0.1:10809 or [::1]:10809");
  number_value(address.port, "the port of --listen", 1, 65535);
  return address;
}

std::string tls_value(const Arguments& arguments) {
  const bool credentials = arguments.has("tls-certificates") || arguments.has("tls-psk");
  if (arguments.has("tls-certificates") && arguments.has("tls-psk"))
    throw UsageError("--tls-certificates and --tls-psk exclude each other");
  std::string tls = arguments.has("tls") ? arguments.value("tls") : credentials ? "require" : "off";
  if (tls != "off" && !credentials) throw UsageError("--tls=" + tls + " needs --tls-certificates or --tls-psk");
  if (tls == "off" && credentials) throw UsageError("--tls=off makes no use of certificates or keys");
  if (arguments.has("tls-verify-peer") && !arguments.has("tls-certificates"))
    throw UsageError("--tls-verify-peer is about certificates, and needs --tls-certificates");
  return tls;
}

/// nbdkit's own options.
std::vector<std::string> server_words(const Arguments& arguments, Session& session) {
  if (arguments.has("socket") == arguments.has("listen"))
    throw UsageError(arguments.has("socket") ? "--socket and --listen exclude each other" : "no place to serve at",
                     "name a Unix socket with --socket, or an address with --listen");
  const std::string tls = tls_value(arguments);
  std::vector<std::string> words = {"--foreground", "--tls=" + tls};
  for (const char* option : {"tls-certificates", "tls-psk"})
    if (arguments.has(option)) words.push_back("--" + std::string(option) + "=" + arguments.value(option));
  if (arguments.has("tls-verify-peer")) words.emplace_back("--tls-verify-peer");
  if (arguments.has("read-only")) words.emplace_back("--readonly");
  if (arguments.has("socket")) {
    words.push_back("--unix=" + arguments.value("socket"));
  } else {
    const Address address = address_value(arguments.value("listen"));
    words.push_back("--ipaddr=" + address.host);
    words.push_back("--port=" + address.port);
    if (tls != "require" && !address.is_loopback())
      session.messages.warn("whoever reaches " + address.host +
                            " can use the disk, and everybody on the way sees it: --tls-psk and "
                            "--tls-certificates keep them out");
  }
  return words;
}

// ---- the image -------------------------------------------------------------------------------------------------------------------------

/// The secrets that were right: of each image that asked the last one given.
using UsedSecrets = std::map<std::string, KeySecret>;

SecretProvider remembering(SecretProvider provider, const std::shared_ptr<UsedSecrets>& used) {
  return [provider = std::move(provider), used](const SecretRequest& request) {
    std::optional<KeySecret> secret = provider(request);
    if (secret) used->insert_or_assign(request.path, KeySecret{secret->kind, secret->bytes.copy()});
    return secret;
  };
}

/// Opens the image for a moment, so that what is wrong with it or with its key is told before anybody can connect.
std::shared_ptr<UsedSecrets> rehearse(const Arguments& arguments, Session& session, const std::string& format) {
  auto used = std::make_shared<UsedSecrets>();
  OpenOptions options = open_options(arguments, session);
  options.format = format;
  if (!arguments.has("references")) options.references = References::none;
  options.secret = remembering(options.secret, used);
  options.warn = {};  // the plugin tells
  Image::open(arguments.operand(0), options).close();
  return used;
}

/// key-fd=N for each secret; all are of one kind.
std::vector<std::string> secret_words(const UsedSecrets& secrets) {
  std::vector<std::string> words;
  std::vector<const KeySecret*> given;
  for (const auto& [path, secret] : secrets) {
    const auto same = [&secret = secret](const KeySecret* other) { return std::ranges::equal(secret.bytes.bytes(), other->bytes.bytes()); };
    if (std::any_of(given.begin(), given.end(), same)) continue;
    given.push_back(&secret);
    words.push_back("key-fd=" + std::to_string(inherited_descriptor(secret)));
  }
  if (!given.empty() && given.front()->kind == SecretKind::raw_key) words.emplace_back("key-format=raw");
  return words;
}

/// The plugin's parameters but for the secrets.
std::vector<std::string> image_words(const Arguments& arguments, const std::string& format) {
  std::vector<std::string> words = {"file=" + arguments.operand(0), "format=" + format,
                                    std::string("read-only=") + (arguments.has("read-only") ? "on" : "off")};
  for (const char* option : {"references", "parent", "cache", "max-virtual-size", "key-slot", "min-generation"})
    if (arguments.has(option)) words.push_back(option + ("=" + arguments.value(option)));
  for (const char* option : {"ignore-parent", "require-encryption", "accept-older-state"})
    if (arguments.has(option)) words.push_back(std::string(option) + "=on");
  if (arguments.has("-l")) words.push_back("snapshot=" + arguments.value("-l"));
  if (arguments.has("-U")) words.emplace_back("lock=off");
  return words;
}

int run(const Arguments& arguments, Session& session) {
  const bool read_only = arguments.has("read-only");
  for (const char* option : {"-l", "-U"})
    if (arguments.has(option) && !read_only) throw UsageError(std::string(option) + " is for reading: add --read-only");
  const std::vector<std::string> server = server_words(arguments, session);
  std::string format = format_value(arguments, "-f");
  const Nbdkit nbdkit = Nbdkit::find();
  if (format.empty()) format = recognized_format(arguments.operand(0), read_only ? Access::read_only : Access::read_write).name;
  const std::shared_ptr<UsedSecrets> secrets = rehearse(arguments, session, format);

  std::vector<std::string> words = {nbdkit.program};
  words.insert(words.end(), server.begin(), server.end());
  words.push_back(nbdkit.plugin);
  for (const auto& more : {image_words(arguments, format), secret_words(*secrets)}) words.insert(words.end(), more.begin(), more.end());
  session.cancel.check();
  if (arguments.has("socket")) remove_stale_socket(arguments.value("socket"));
  const int code = run_until_cancelled(words, session.cancel);
  if (arguments.has("socket")) remove_stale_socket(arguments.value("socket"));
  return code;
}

std::vector<Option> server_options() {
  return {{0, "socket", "PATH", "serve at this Unix socket, which only you may use"},
          {0, "listen", "ADDRESS:PORT", "serve at this address of this host"},
          {0, "read-only", "", "open the image for reading, and refuse to write"},
          {0,
           "tls",
           "MODE",
           "off, on (clients may use it) or require; with certificates or keys it is required by itself",
           {"off", "on", "require"}},
          {0, "tls-certificates", "DIRECTORY", "certificates, as nbdkit-tls(1) describes them"},
          {0, "tls-verify-peer", "", "only clients that have a certificate of the same authority"},
          {0, "tls-psk", "FILE", "users and their keys, as psktool(1) makes them"},
          {0,
           "cache",
           "MODE",
           "writeback (the default), none: past the host's page cache, or unsafe: flush does not wait for the medium",
           {"writeback", "none", "unsafe"}}};
}

Option references_option() {
  return {0,
          "references",
          "WHICH",
          "files named inside the image that may be opened: none (the default here), inside (its own directory and below) or any",
          {"none", "inside", "any"}};
}

}  // namespace

const Command& serve_command() {
  static const Command command = {
      .name = "serve",
      .operands = "FILE",
      .summary = "let other programs use the disk over NBD",
      .description =
          "Serves the disk with nbdkit, which must be installed, until SIGINT or SIGTERM. Many clients may use it at once, and it does "
          "what "
          "NBD has: flush, FUA, trim, zeros, which parts are stored.\n\n"
          "Unlike other commands it opens no file that the image names, parents among them, unless --references allows it.",
      .options = option_rows({{format_option(), snapshot_option(), unlocked_option()},
                              server_options(),
                              parent_options(),
                              {references_option(), {0, "max-virtual-size", "SIZE", "refuse an image that claims a larger disk"}},
                              opening_options()}),
      .min_operands = 1,
      .max_operands = 1,
      .exit_codes = {{0, "served until it was told to end"},
                     {130, "stopped by SIGINT before it served"},
                     {143, "stopped by SIGTERM before it served"}},
      .examples = {"varve serve --socket /run/disk.sock disk.varve",
                   "varve serve --read-only -l monday --listen 127.0.0.1:10809 disk.varve",
                   "varve serve -f vmdk --listen 192.0.2.1:10809 --tls-psk keys.psk disk.vmdk"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
