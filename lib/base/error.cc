#include "varve/error.h"

#include <utility>

#include "varve/text.h"

namespace varve {

std::string_view errc_name(Errc code) noexcept {
  switch (code) {
    case Errc::corrupt: return "corrupt";
    case Errc::unsupported: return "unsupported";
    case Errc::invalid_argument: return "invalid_argument";
    case Errc::io: return "io";
    case Errc::no_space: return "no_space";
    case Errc::locked: return "locked";
    case Errc::not_found: return "not_found";
    case Errc::exists: return "exists";
    case Errc::permission: return "permission";
    case Errc::authentication: return "authentication";
    case Errc::limit: return "limit";
    case Errc::cancelled: return "cancelled";
  }
  return "unknown";
}

Error::Error(Errc code, std::string message) : code_(code), message_(std::move(message)) { compose(); }

Error&& Error::in(std::string_view path) && {
  add_path(path);
  return std::move(*this);
}

Error&& Error::at(uint64_t offset) && {
  offset_ = offset;
  compose();
  return std::move(*this);
}

Error&& Error::at_disk(uint64_t offset) && {
  add_disk_offset(offset);
  return std::move(*this);
}

Error&& Error::during(std::string_view operation) && {
  operation_ = operation;
  compose();
  return std::move(*this);
}

Error&& Error::hint(std::string_view what_to_do) && {
  hint_ = what_to_do;
  compose();
  return std::move(*this);
}

Error&& Error::caused_by(std::string_view cause) && {
  cause_ = cause;
  compose();
  return std::move(*this);
}

void Error::add_path(std::string_view path) {
  if (!path_.empty()) return;
  path_ = path;
  compose();
}

void Error::add_disk_offset(uint64_t offset) {
  if (disk_offset_) return;
  disk_offset_ = offset;
  compose();
}

void Error::compose() {
  std::string line;
  if (!path_.empty()) line += path_ + ": ";
  line += message_;
  if (!cause_.empty()) line += ": " + cause_;
  std::string where = operation_;
  if (offset_) where += (where.empty() ? "at byte " : " at byte ") + std::to_string(*offset_);
  if (disk_offset_) where += (where.empty() ? "disk byte " : ", disk byte ") + std::to_string(*disk_offset_);
  if (!where.empty()) line += " (" + where + ")";
  if (!hint_.empty()) line += ": " + hint_;
  line_ = escape_text(line);
}

}  // namespace varve
