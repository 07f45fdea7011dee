// What a check of an image finds.
#ifndef VARVE_CHECK_H
#define VARVE_CHECK_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "varve/progress.h"

#pragma GCC visibility push(default)
namespace varve {

enum class Repair : uint8_t {
  none,
  safe,  ///< only what cannot lose data
  all,   ///< also drops references to places where no data can be, naming the range of the disk that each loses
};

struct CheckOptions {
  bool data = false;  ///< also read, verify and decode everything that is stored
  Repair repair = Repair::none;
  ProgressFn progress = {};  ///< of what `data` reads; never called without it
  const CancelToken* cancel = nullptr;
};

enum class Severity : uint8_t {
  note,    ///< unusual but harmless: a stale unclean mark
  leak,    ///< space that nothing refers to
  damage,  ///< contradicts the format; data may be lost
};

/// "note", "leak", "damage".
std::string_view severity_name(Severity severity) noexcept;

struct Finding {
  Severity severity = Severity::damage;
  std::string message;                  ///< one line; what it quotes from the image is not escaped
  std::optional<uint64_t> file_offset;  ///< bytes, in the file that it is about
  std::optional<uint64_t> disk_offset;  ///< bytes; what part of the disk it concerns
  uint64_t disk_length = 0;             ///< bytes; 0 without disk_offset
  bool repaired = false;
};

/// The first kMaxFindings findings, and the count of all.
struct CheckReport {
  static constexpr size_t kMaxFindings = 1000;

  std::vector<Finding> findings;
  uint64_t damages = 0;  ///< unrepaired
  uint64_t leaks = 0;    ///< unrepaired
  uint64_t repaired = 0;
  uint64_t leaked_bytes = 0;     ///< unrepaired
  uint64_t allocated_bytes = 0;  ///< of data, as stored
  // Where the format can tell:
  std::optional<uint64_t> free_bytes;          ///< of the file: nothing refers to them, and the next writer uses them
  std::optional<uint64_t> branch_point_bytes;  ///< that only deleted snapshots hold which others are based on
  std::optional<uint64_t> damaged_bytes;       ///< stored, and not what was written

  /// Counts the finding: as repaired if it is, else by its severity, a note not at all. Keeps it while there are fewer than kMaxFindings.
  /// leaked_bytes and allocated_bytes are left to the caller. Not thread-safe.
  void add(Finding finding);
  bool clean() const { return damages == 0 && leaks == 0; }
};

}  // namespace varve
#pragma GCC visibility pop

#endif
