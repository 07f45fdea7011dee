#include "io/references.h"

#include <algorithm>
#include <cctype>

#include "io/path.h"

namespace varve {

namespace {

constexpr size_t kShownName = 200;

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// For a message: short and without control characters [REF-7].
std::string shown(std::string_view name) {
  std::string text = "\"";
  for (const char c : name.substr(0, kShownName)) text += is_control(c) ? '?' : c;
  return text + (name.size() > kShownName ? "...\"" : "\"");
}

/// "nbd:", "json:", "C:": a word and a colon.
bool has_scheme(std::string_view name) {
  const auto word = std::find_if_not(name.begin(), name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '+' || c == '-' || c == '.';
  });
  return word != name.begin() && word != name.end() && *word == ':';
}

bool has_dot_dot(std::string_view name) {
  while (true) {
    const size_t slash = name.find('/');
    if (name.substr(0, slash) == "..") return true;
    if (slash == std::string_view::npos) return false;
    name.remove_prefix(slash + 1);
  }
}

bool stays_inside(std::string_view name) {
  return !name.starts_with('/') && !name.ends_with('/') && name != "." && name.find('\\') == std::string_view::npos && !has_dot_dot(name) &&
         !has_scheme(name) && std::none_of(name.begin(), name.end(), is_control);
}

constexpr std::string_view kTrustHint = "if you trust the image, allow it with --references=any";

}  // namespace

void check_reference_name(std::string_view name, References policy) {
  if (policy == References::none)
    throw Error(Errc::permission, "the image names another file, " + shown(name) + ", and no other file may be opened");
  if (name.empty() || name.find('\0') != std::string_view::npos)
    throw Error(Errc::permission, "the image names a file that cannot exist, " + shown(name));
  if (policy == References::inside && !stays_inside(name))
    throw Error(Errc::permission, "the image names a file outside its own directory, " + shown(name)).hint(kTrustHint);
}

std::shared_ptr<Storage> open_reference(FileSystem& files, const std::string& image_path, const std::string& name, References policy,
                                        bool device, const FileOpen& how) {
  try {
    check_reference_name(name, policy);
    if (device && policy != References::any) throw Error(Errc::permission, "the image names a device, " + shown(name)).hint(kTrustHint);
  } catch (Error& error) {
    error.add_path(image_path);
    throw;
  }
  const std::string directory = directory_of(image_path);
  if (policy == References::any) return files.open(join_path(directory, name), how);
  FileOpen inside = how;
  inside.allow_device = false;
  return files.open_beneath(directory, name, inside);
}

}  // namespace varve
