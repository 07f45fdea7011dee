#include <algorithm>
#include <array>
#include <charconv>
#include <string_view>
#include <tuple>

#include "capi/handles.h"
#include "varve/text.h"

namespace varve::capi {
namespace {

[[noreturn]] void refuse(std::string_view name, std::string_view value, const std::string& right) {
  throw Error(Errc::invalid_argument, "option " + std::string(name) + " cannot be '" + std::string(value) + "'").hint(right);
}

bool truth(std::string_view name, std::string_view value) {
  if (value == "on" || value == "true") return true;
  if (value == "off" || value == "false") return false;
  refuse(name, value, "give on or off");
}

uint64_t number(std::string_view name, std::string_view value, uint64_t most, uint64_t least = 0) {
  uint64_t found = 0;
  const auto [end, failed] = std::from_chars(value.data(), value.data() + value.size(), found);
  if (failed != std::errc() || end != value.data() + value.size() || found > most || found < least)
    refuse(name, value, "give a number, " + std::to_string(least) + " to " + std::to_string(most));
  return found;
}

uint64_t size(std::string_view name, std::string_view value) {
  try {
    return parse_size(value);
  } catch (const Error& error) {
    refuse(name, value, error.message());
  }
}

template <typename Value>
struct Word {
  std::string_view word;
  Value value;
};

template <typename Value, size_t N>
Value one_of(std::string_view name, std::string_view value, const Word<Value> (&words)[N]) {
  std::string right = "give one of";
  for (const auto& [word, meaning] : words) {
    if (word == value) return meaning;
    right += " " + std::string(word);
  }
  refuse(name, value, right);
}

/// How files are read and written, and whether flushes are waited for. Empty: the default.
std::pair<Cache, bool> cache_mode(std::string_view value) {
  constexpr Word<std::pair<Cache, bool>> kWords[] = {
      {"writeback", {Cache::writeback, true}}, {"none", {Cache::none, true}}, {"unsafe", {Cache::writeback, false}}};
  return one_of("cache", value.empty() ? "writeback" : value, kWords);
}

/// Sets one, or its default if the value is empty.
struct Setter {
  std::string_view name;
  void (*set)(varve_options& options, std::string_view value);
};

// A lambda knows no name of its own option, so each passes it on.
const std::array kSetters = {
    Setter{"format",
           [](varve_options& o, std::string_view v) {
             o.format_is_set = !v.empty();
             o.open.format = v == "auto" ? "" : v;
           }},
    Setter{"read-only",
           [](varve_options& o, std::string_view v) {
             o.open.access = v.empty() || truth("read-only", v) ? Access::read_only : Access::read_write;
           }},
    Setter{"references",
           [](varve_options& o, std::string_view v) {
             constexpr Word<References> kWords[] = {{"inside", References::inside}, {"none", References::none}, {"any", References::any}};
             o.open.references = one_of("references", v.empty() ? "inside" : v, kWords);
           }},
    Setter{"parent", [](varve_options& o, std::string_view v) { o.open.parent = v; }},
    Setter{"parent-format", [](varve_options& o, std::string_view v) { o.parent_format = v; }},
    Setter{"parent-snapshot", [](varve_options& o, std::string_view v) { o.parent_snapshot = v; }},
    Setter{"ignore-parent",
           [](varve_options& o, std::string_view v) { o.open.ignore_parent = !v.empty() && truth("ignore-parent", v); }},
    Setter{"snapshot", [](varve_options& o, std::string_view v) { o.open.snapshot = v; }},
    Setter{"cache",
           [](varve_options& o, std::string_view v) {
             std::tie(o.open.cache, o.open.durable) = cache_mode(v);
           }},
    Setter{"lock", [](varve_options& o, std::string_view v) { o.open.ignore_locks = !v.empty() && !truth("lock", v); }},
    Setter{"require-encryption",
           [](varve_options& o, std::string_view v) { o.open.require_encryption = !v.empty() && truth("require-encryption", v); }},
    Setter{"accept-older-state",
           [](varve_options& o, std::string_view v) { o.open.accept_older_state = !v.empty() && truth("accept-older-state", v); }},
    Setter{"min-generation",
           [](varve_options& o, std::string_view v) {
             o.open.min_generation = v.empty() ? 0 : number("min-generation", v, UINT64_MAX);
           }},
    Setter{"key-slot",
           [](varve_options& o, std::string_view v) {
             o.open.key_slot.reset();
             if (!v.empty()) o.open.key_slot = static_cast<unsigned>(number("key-slot", v, 15));
           }},
    Setter{"threads",
           [](varve_options& o, std::string_view v) { o.threads = v.empty() ? 0 : static_cast<unsigned>(number("threads", v, 64, 1)); }},
    Setter{"write-buffer",
           [](varve_options& o, std::string_view v) { o.open.limits.write_buffer = v.empty() ? Limits{}.write_buffer : size("write-buffer", v); }},
    Setter{"cluster-cache",
           [](varve_options& o, std::string_view v) { o.open.limits.cluster_cache = v.empty() ? Limits{}.cluster_cache : size("cluster-cache", v); }},
    Setter{"metadata",
           [](varve_options& o, std::string_view v) { o.open.limits.metadata_bytes = v.empty() ? Limits{}.metadata_bytes : size("metadata", v); }},
    Setter{"max-virtual-size",
           [](varve_options& o, std::string_view v) { o.open.limits.virtual_size = v.empty() ? Limits{}.virtual_size : size("max-virtual-size", v); }},
    Setter{"max-chain-depth",
           [](varve_options& o, std::string_view v) {
             o.open.limits.chain_depth = v.empty() ? Limits{}.chain_depth : static_cast<uint32_t>(number("max-chain-depth", v, 256, 1));
           }},
    Setter{"force", [](varve_options& o, std::string_view v) { o.force = !v.empty() && truth("force", v); }},
};

constexpr std::string_view kOfTheFormat = "create.";

void set(varve_options& options, std::string_view name, std::string_view value) {
  if (name.starts_with(kOfTheFormat)) {
    const std::string key(name.substr(kOfTheFormat.size()));
    if (value.empty())
      options.create.erase(key);
    else
      options.create[key] = value;
    return;
  }
  const auto* const setter = std::find_if(kSetters.begin(), kSetters.end(), [&](const Setter& one) { return one.name == name; });
  if (setter == kSetters.end())
    throw Error(Errc::invalid_argument, "there is no option '" + std::string(name) + "'").hint("varve/varve.h lists them");
  setter->set(options, value);
}

SecretProvider provider_of(const varve_options& options, bool first_only) {
  if (options.secrets.empty()) return {};
  return [secrets = options.secrets, first_only](const SecretRequest& request) -> std::optional<KeySecret> {
    if (request.attempt >= (first_only ? 1 : secrets.size())) return std::nullopt;
    const KeySecret& secret = *secrets[request.attempt];
    return KeySecret{secret.kind, secret.bytes.copy()};
  };
}

WarningFn warnings_of(const varve_options& options) {
  if (options.show_warning == nullptr) return {};
  return [show = options.show_warning, user = options.warning_user](const std::string& line) {
    const std::string shown = escape_text(line);
    show(user, shown.c_str());
  };
}

}  // namespace

std::pair<Cache, bool> cache_of(const char* mode) { return cache_mode(mode != nullptr ? mode : ""); }

const std::string& format_of(const varve_options* options) {
  const varve_options& given = usable(options);
  if (!given.format_is_set)
    throw Error(Errc::invalid_argument, "the image's format is not named")
        .hint("set the option format, to auto if no stranger wrote the image");
  return given.open.format;
}

OpenOptions open_options(const varve_options* options) {
  static_cast<void>(format_of(options));
  OpenOptions how = options->open;
  how.secret = provider_of(*options, false);
  how.warn = warnings_of(*options);
  return how;
}

CreateOptions create_options(const varve_options* options) {
  static_cast<void>(format_of(options));
  const OpenOptions& given = options->open;
  CreateOptions how;
  how.options = options->create;
  how.force = options->force;
  how.parent = given.parent;
  how.parent_format = options->parent_format;
  how.parent_snapshot = options->parent_snapshot;
  how.secret = provider_of(*options, true);
  how.parent_secret = provider_of(*options, false);
  how.durable = given.durable;
  how.cache = given.cache;
  how.references = given.references;
  how.limits = given.limits;
  how.warn = warnings_of(*options);
  return how;
}

EngineOptions engine_options(const varve_options* options) { return {options->threads}; }

}  // namespace varve::capi

using namespace varve;

int varve_options_new(varve_options** options, varve_error** error) {
  return capi::guarded(error, [&] {
    varve_options*& place = capi::place_of(options);
    place = std::make_unique<varve_options>().release();
  });
}

void varve_options_free(varve_options* options) { capi::give_back(options); }

int varve_options_set(varve_options* options, const char* name, const char* value, varve_error** error) {
  return capi::guarded(error,
                       [&] { capi::set(capi::usable(options), &capi::required(name, "the name"), &capi::required(value, "the value")); });
}

int varve_options_add_secret(varve_options* options, const char* kind, const void* bytes, size_t length, varve_error** error) {
  return capi::guarded(error, [&] {
    const std::string_view named = &capi::required(kind, "the kind");
    KeySecret secret;
    if (named != "passphrase" && named != "raw")
      throw Error(Errc::invalid_argument, "a secret cannot be of kind '" + std::string(named) + "'").hint("passphrase or raw");
    secret.kind = named == "raw" ? SecretKind::raw_key : SecretKind::passphrase;
    const auto* const text = static_cast<const char*>(capi::required_bytes(bytes, length));
    if (secret.kind == SecretKind::passphrase && length != 0 && text[length - 1] == '\n') --length;
    if (secret.kind == SecretKind::passphrase && length != 0 && text[length - 1] == '\r') --length;
    secret.bytes = Secret(ConstBytes(static_cast<const std::byte*>(bytes), length));
    capi::usable(options).secrets.push_back(std::make_shared<const KeySecret>(std::move(secret)));
  });
}

void varve_options_clear_secrets(varve_options* options) {
  if (options != nullptr && options->forks == fork_count()) options->secrets.clear();
}

void varve_options_on_warning(varve_options* options, varve_warning_fn* show, void* user) {
  if (options == nullptr) return;
  options->show_warning = show;
  options->warning_user = user;
}

void varve_options_on_resolve(varve_options* options, varve_resolve_fn* resolve, void* user) {
  if (options == nullptr) return;
  options->resolve = resolve;
  options->resolve_user = user;
}
