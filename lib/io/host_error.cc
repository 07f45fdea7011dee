#include "io/host_error.h"

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

namespace varve {

namespace {

struct Row {
  int error;
  Errc code;
  std::string_view hint;
};

constexpr std::array kRows = {
    Row{ENOSPC, Errc::no_space, "free some space or write elsewhere"},
    Row{EDQUOT, Errc::no_space, "free some space or write elsewhere"},
    Row{EFBIG, Errc::limit, "this file system or the process's file size limit (ulimit -f) does not allow so large a file"},
    Row{EACCES, Errc::permission, {}},
    Row{EPERM, Errc::permission, {}},
    Row{EROFS, Errc::permission, {}},
    Row{ENOENT, Errc::not_found, {}},
    Row{ENOTDIR, Errc::not_found, {}},
    Row{EEXIST, Errc::exists, {}},
    Row{EBUSY, Errc::locked, "unmount the device or close the program that uses it"},
    Row{ETXTBSY, Errc::locked, "close the program that uses it"},
    Row{EISDIR, Errc::invalid_argument, {}},
    Row{ENAMETOOLONG, Errc::invalid_argument, {}},
};

const Row* row_of(int error) noexcept {
  for (const Row& row : kRows)
    if (row.error == error) return &row;
  return nullptr;
}

}  // namespace

Errc errc_of_errno(int error) noexcept {
  const Row* row = row_of(error);
  return row != nullptr ? row->code : Errc::io;
}

Error host_error(int error, std::string message) {
  const Row* row = row_of(error);
  Error result = Error(errc_of_errno(error), std::move(message)).caused_by(std::generic_category().message(error));
  if (row != nullptr && !row->hint.empty()) return std::move(result).hint(row->hint);
  return result;
}

}  // namespace varve
