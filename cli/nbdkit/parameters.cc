#include "parameters.h"

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "failure.h"
#include "nbdkit.h"

namespace varve_nbdkit {
namespace {

Options new_options() {
  varve_options* options = nullptr;
  Outcome outcome;
  outcome.require(varve_options_new(&options, outcome.error()));
  return Options(options);
}

void apply(varve_options& options, const std::string& key, const std::string& value) {
  Outcome outcome;
  outcome.require(varve_options_set(&options, key.c_str(), value.c_str(), outcome.error()));
}

/// The server changes its directory when it goes into the background.
std::string absolute(const std::string& path) {
  struct Free {
    void operator()(char* text) const { std::free(text); }  // NOLINT: nbdkit took it from malloc
  };
  const std::unique_ptr<char, Free> whole(nbdkit_absolute_path(path.c_str()));
  if (whole == nullptr) throw Failure(path + ": can't be made an absolute path", EINVAL);
  return whole.get();
}

bool truth(const std::string& key, const std::string& value) {
  apply(*new_options(), key, value);  // refuses what is none
  return value == "on" || value == "true";
}

/// Warnings come while nothing has failed, and there is no other way to be heard than nbdkit_error().
void show_warning(void* /*user*/, const char* message) { nbdkit_error("warning: %s", message); }

}  // namespace

void Parameters::set(const std::string& key, const std::string& value) {
  if (key == "file") {
    file_ = absolute(value);
  } else if (key == "read-only") {
    read_only_ = value.empty() ? std::nullopt : std::optional(truth(key, value));
  } else if (key == "until-fd") {
    until_fd_ = inherited_descriptor(key, value);
  } else if (key == "key-file") {
    sources_.push_back({From::file, absolute(value)});
  } else if (key == "key-fd") {
    sources_.push_back({From::descriptor, value});
  } else if (key == "passphrase") {
    sources_.push_back({From::password, value});
  } else if (key == "key-format") {
    if (value != "passphrase" && value != "raw") throw Failure("key-format is passphrase or raw", EINVAL);
    raw_keys_ = value == "raw";
  } else {
    const std::string meant = key == "parent" && !value.empty() ? absolute(value) : value;
    apply(*new_options(), key, meant);  // an unknown one is refused here and now
    settings_.emplace_back(key, meant);
  }
}

void Parameters::complete() {
  if (file_.empty()) throw Failure("no image: name it, as in file=disk.vmdk", EINVAL);
  if (!is_set("format"))
    throw Failure("the format must be named, as in format=vmdk: a guest can make its disk look like another format", EINVAL);
  const auto automatic = std::find(settings_.begin(), settings_.end(), std::pair<std::string, std::string>("format", "auto"));
  if (automatic != settings_.end() && !read_only_.value_or(false))
    throw Failure("format=auto is for reading: add read-only=on, or name the format", EINVAL);
  // A service is fed images of strangers, who name other files in them.
  if (!is_set("references")) settings_.emplace(settings_.begin(), "references", "none");
  for (const Source& source : sources_) add_secret(source);
}

Options Parameters::options(bool read_only) const {
  Options options = new_options();
  for (const auto& [key, value] : settings_) apply(*options, key, value);
  apply(*options, "read-only", read_only ? "on" : "off");
  for (const auto& [kind, secret] : secrets_) {
    Outcome outcome;
    outcome.require(varve_options_add_secret(options.get(), kind, secret.data(), secret.size(), outcome.error()));
  }
  varve_options_on_warning(options.get(), show_warning, nullptr);
  return options;
}

bool Parameters::is_set(const std::string& key) const {
  return std::any_of(settings_.begin(), settings_.end(), [&](const auto& setting) { return setting.first == key; });
}

void Parameters::add_secret(const Source& source) {
  switch (source.from) {
    case From::file: return void(secrets_.emplace_back(raw_keys_ ? "raw" : "passphrase", read_secret_file(source.where)));
    case From::descriptor: return void(secrets_.emplace_back(raw_keys_ ? "raw" : "passphrase", read_secret_descriptor(source.where)));
    case From::password: return void(secrets_.emplace_back("passphrase", read_secret_password(source.where)));
  }
}

}  // namespace varve_nbdkit
