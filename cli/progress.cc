#include "progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <exception>

#include "arguments.h"
#include "json_output.h"
#include "text_output.h"

namespace varve::cli {
namespace {

constexpr double kBarPeriod = 0.1;  // seconds
constexpr double kBarDelay = 0.5;   // a command that is done before this shows no bar
constexpr double kLinePeriod = 1.0;
constexpr double kSmoothing = 4.0;  // seconds over which the rate is averaged

size_t terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

double percent(uint64_t done, uint64_t total) {
  return total == 0 ? 100.0 : 100.0 * static_cast<double>(done) / static_cast<double>(total);
}

std::string percent_text(uint64_t done, uint64_t total) {
  std::array<char, 16> buffer{};
  // Rounded down: 100 % means done.
  std::snprintf(buffer.data(), buffer.size(), "%5.1f%%", std::floor(percent(done, total) * 10) / 10);
  return buffer.data();
}

}  // namespace

ProgressStyle progress_style(const Arguments& arguments) {
  if (arguments.has("quiet")) return ProgressStyle::none;
  if (arguments.value("progress") == "json") return ProgressStyle::json;
  if (isatty(STDERR_FILENO) != 0) return ProgressStyle::bar;
  const bool asked = arguments.has("progress") || arguments.has("-p");
  return asked ? ProgressStyle::text : ProgressStyle::none;
}

void RateMeter::sample(double seconds, uint64_t done) {
  const double passed = seconds - last_seconds_;
  if (passed <= 0 || done < last_done_) return;
  const double now = static_cast<double>(done - last_done_) / passed;
  const double weight = rate_ < 0 ? 1.0 : 1.0 - std::exp(-passed / kSmoothing);
  rate_ = rate_ < 0 ? now : rate_ + weight * (now - rate_);
  last_seconds_ = seconds;
  last_done_ = done;
}

std::optional<uint64_t> RateMeter::seconds_left(uint64_t done, uint64_t total) const {
  if (rate_ < 1 || done > total) return std::nullopt;
  return static_cast<uint64_t>(std::ceil(static_cast<double>(total - done) / rate_));
}

Progress::Progress(ProgressStyle style, std::string label, Messages& messages)
    : style_(style), label_(std::move(label)), messages_(messages), next_(style == ProgressStyle::bar ? kBarDelay : kLinePeriod) {}

ProgressFn Progress::function() {
  if (style_ == ProgressStyle::none) return {};
  return [this](uint64_t done, uint64_t total) { update(done, total); };
}

void Progress::update(uint64_t done, uint64_t total) noexcept {
  try {
    done_ = done;
    total_ = total;
    const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    if (seconds >= next_) show(seconds, done, total);
  } catch (const std::exception&) {
    // Out of memory for a status line: the operation itself goes on.
  }
}

void Progress::show(double seconds, uint64_t done, uint64_t total) {
  meter_.sample(seconds, done);
  next_ = seconds + (style_ == ProgressStyle::bar ? kBarPeriod : kLinePeriod);
  switch (style_) {
    case ProgressStyle::bar: messages_.set_status(bar(done, total)); break;
    case ProgressStyle::text: messages_.plain_line(text(done, total)); break;
    case ProgressStyle::json: messages_.plain_line(json(done, total)); break;
    case ProgressStyle::none: break;
  }
}

void Progress::finish() {
  messages_.clear_status();
  if (style_ != ProgressStyle::json) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  meter_.sample(seconds, total_);
  messages_.plain_line(json(total_, total_));
}

std::string Progress::json(uint64_t done, uint64_t total) const {
  return json_line({{"operation", label_},
                    {"done", done},
                    {"total", total},
                    {"bytes_per_second", meter_.bytes_per_second()},
                    {"seconds_left", json_or_null(meter_.seconds_left(done, total))}});
}

std::string Progress::text(uint64_t done, uint64_t total) const {
  std::string line =
      label_ + ": " + percent_text(done, total) + " of " + format_size(total) + ", " + format_size(meter_.bytes_per_second()) + "/s";
  if (const auto left = meter_.seconds_left(done, total)) line += ", " + human_duration(*left) + " left";
  return line;
}

std::string Progress::bar(uint64_t done, uint64_t total) const {
  constexpr size_t kWidest = 40;
  std::string tail = percent_text(done, total) + "  " + format_size(meter_.bytes_per_second()) + "/s";
  if (const auto left = meter_.seconds_left(done, total)) tail += "  " + human_duration(*left) + " left";
  const size_t columns = terminal_columns();
  const size_t taken = label_.size() + tail.size() + 5;  // blanks, brackets and the last column
  if (columns < taken + 4) return tail.substr(0, columns > 1 ? columns - 1 : 0);
  const size_t width = std::min(kWidest, columns - taken);
  const size_t filled = std::min(width, static_cast<size_t>(percent(done, total) / 100.0 * static_cast<double>(width)));
  return label_ + " [" + std::string(filled, '#') + std::string(width - filled, '.') + "] " + tail;
}

}  // namespace varve::cli
