#include "image/registry.h"

#include <algorithm>

namespace varve {

std::vector<const FormatInfo*> formats() {
  std::vector<const FormatInfo*> all;
  for (const FormatDriver* driver : builtin_formats()) all.push_back(&driver->info());
  return all;
}

const FormatDriver& driver_named(std::string_view name) {
  std::string known;
  for (const FormatDriver* driver : builtin_formats()) {
    if (driver->info().name == name) return *driver;
    known += (known.empty() ? "" : ", ") + std::string(driver->info().name);
  }
  throw Error(Errc::invalid_argument, "there is no format '" + std::string(name) + "'").hint("use one of " + known);
}

const FormatInfo& format_named(std::string_view name) { return driver_named(name).info(); }

const FormatInfo* format_of_path(std::string_view path) {
  const size_t slash = path.rfind('/');
  const std::string_view file = slash == std::string_view::npos ? path : path.substr(slash + 1);
  const size_t dot = file.rfind('.');
  if (dot == std::string_view::npos) return nullptr;
  std::string extension(file.substr(dot + 1));
  std::transform(extension.begin(), extension.end(), extension.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  for (const FormatInfo* format : formats())
    if (std::find(format->extensions.begin(), format->extensions.end(), extension) != format->extensions.end()) return format;
  return nullptr;
}

}  // namespace varve
