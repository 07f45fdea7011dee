// The one exception type of the library.
#ifndef VARVE_ERROR_H
#define VARVE_ERROR_H

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>

#pragma GCC visibility push(default)
namespace varve {

/// What a caller may want to decide upon. The numbers are part of the ABI: never renumber, only append.
enum class Errc : int {
  corrupt = 1,           ///< the image contradicts itself or its format's specification
  unsupported = 2,       ///< valid, but this library does not do it
  invalid_argument = 3,  ///< the caller's words are wrong, or the format is ambiguous or undeclared
  io = 4,                ///< the host failed to read or write
  no_space = 5,          ///< the host's storage or quota is full
  locked = 6,            ///< another program uses the image in a way that conflicts
  not_found = 7,
  exists = 8,
  permission = 9,  ///< refused by the reference policy or by the host
  authentication = 10,
  limit = 11,  ///< a bound of `Limits` or of the format would be exceeded
  cancelled = 12,
};

/// "corrupt", "no_space", ...: stable, used in JSON.
std::string_view errc_name(Errc code) noexcept;

/// A failure: a code to decide upon and one line to show. `what()` reads
/// "PATH: MESSAGE: CAUSE (WHERE): HINT", each part only if it is known, as escape_text() (varve/text.h) shows it. The single parts are as
/// they came: paths and what a message quotes from an image may hold any bytes.
///
/// Build it where the fault is seen and add what is known by then; an outer layer may add the path:
///
///     throw Error(Errc::corrupt, "grain table 3 lies outside the file").at(offset).hint("restore the image from a copy");
///
/// Moving never throws, so throwing one never terminates. Not thread-safe; each thread throws its own.
class Error : public std::exception {
 public:
  Error(Errc code, std::string message);

  Error&& in(std::string_view path) &&;  ///< the file at fault; the first one named stays
  Error&& at(uint64_t offset) &&;        ///< byte offset in that file
  Error&& at_disk(uint64_t offset) &&;   ///< byte of the disk that it is about; the first one named stays
  Error&& during(std::string_view operation) &&;
  Error&& hint(std::string_view what_to_do) &&;
  Error&& caused_by(std::string_view cause) &&;  ///< such as strerror()'s text

  /// Names the file unless one is named already: for layers that catch by reference and rethrow.
  void add_path(std::string_view path);
  /// The same for the byte of the disk.
  void add_disk_offset(uint64_t offset);

  Errc code() const noexcept { return code_; }
  const std::string& message() const noexcept { return message_; }
  const std::string& path() const noexcept { return path_; }
  std::optional<uint64_t> offset() const noexcept { return offset_; }
  std::optional<uint64_t> disk_offset() const noexcept { return disk_offset_; }
  const std::string& operation() const noexcept { return operation_; }
  const std::string& hint() const noexcept { return hint_; }
  const std::string& cause() const noexcept { return cause_; }
  const char* what() const noexcept override { return line_.c_str(); }

 private:
  void compose();

  Errc code_;
  std::string message_;
  std::string path_;
  std::optional<uint64_t> offset_;
  std::optional<uint64_t> disk_offset_;
  std::string operation_;
  std::string hint_;
  std::string cause_;
  std::string line_;
};

}  // namespace varve
#pragma GCC visibility pop

#endif
