// The two questions about paths that have nothing to do with what exists.
#ifndef VARVE_IO_PATH_H
#define VARVE_IO_PATH_H

#include <string>
#include <string_view>

namespace varve {

/// "a/b/c" -> "a/b", "c" -> ".", "/c" -> "/".
inline std::string directory_of(std::string_view path) {
  const size_t slash = path.find_last_of('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(path.substr(0, slash == 0 ? 1 : slash));
}

/// "a/b/c" -> "c".
inline std::string base_name_of(std::string_view path) { return std::string(path.substr(path.find_last_of('/') + 1)); }

/// `name` as seen from `directory`; an absolute name stays.
inline std::string join_path(const std::string& directory, const std::string& name) {
  if (directory == "." || name.starts_with('/')) return name;
  return directory.ends_with('/') ? directory + name : directory + "/" + name;
}

}  // namespace varve

#endif
