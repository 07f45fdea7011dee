#include "messages.h"

#include <unistd.h>

#include <cerrno>

#include "text_output.h"

namespace varve::cli {
namespace {

constexpr std::string_view kEraseLine = "\r\x1b[K";

}  // namespace

void Messages::write_all(std::string_view text) noexcept {
  while (!text.empty()) {
    const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    text.remove_prefix(static_cast<size_t>(written));
  }
}

void Messages::line(std::string_view text) { plain_line("varve: " + escape_text(text)); }

void Messages::plain_line(std::string_view text) {
  const std::lock_guard lock(mutex_);
  std::string whole = status_shown_ ? std::string(kEraseLine) : std::string();
  status_shown_ = false;
  whole += text;
  whole += '\n';
  write_all(whole);
}

void Messages::set_status(std::string_view text) {
  const std::lock_guard lock(mutex_);
  write_all(std::string(kEraseLine) + std::string(text));
  status_shown_ = true;
}

void Messages::clear_status() {
  const std::lock_guard lock(mutex_);
  if (status_shown_) write_all(kEraseLine);
  status_shown_ = false;
}

}  // namespace varve::cli
