// How a C++ program converts disk images: convert SOURCE TARGET FORMAT
//
// The target appears under its name when it is complete and on the medium. Ctrl-C ends the work, and leaves nothing. Build it with
//
//     c++ -std=c++20 convert.cc $(pkg-config --cflags --libs varve)
#include <varve/ops.h>
#include <varve/text.h>

#include <csignal>
#include <cstdint>
#include <exception>
#include <iostream>
#include <string>

namespace {

varve::CancelToken stop;  // a signal handler has nothing else to reach it by

extern "C" void on_interrupt(int /*signal*/) { stop.cancel(); }

/// One line that is written over and over, at every whole per cent. Called from threads of the library, never from two at once.
class ProgressLine {
 public:
  ProgressLine() = default;
  ~ProgressLine() {
    if (shown_ != kNothing) std::cerr << '\n';
  }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void show(uint64_t done, uint64_t total) {
    const auto percent = static_cast<unsigned>(total == 0 ? 100 : static_cast<double>(done) * 100 / static_cast<double>(total));
    if (percent == shown_) return;
    shown_ = percent;
    std::cerr << '\r' << percent << " %" << std::flush;
  }

 private:
  static constexpr unsigned kNothing = 101;
  unsigned shown_ = kNothing;
};

varve::CopyReport convert(const std::string& source, const std::string& target, const std::string& format) {
  ProgressLine line;
  varve::ConvertOptions options;
  options.target_format = format;
  options.open.references = varve::References::inside;  // the source may name parents beside it, and no other files
  options.open.warn = [](const std::string& warning) { std::cerr << "warning: " << varve::escape_text(warning) << '\n'; };
  options.copy.cancel = &stop;
  options.copy.progress = [&line](uint64_t done, uint64_t total) { line.show(done, total); };
  return varve::convert(source, target, options);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) {
    std::cerr << "usage: convert SOURCE TARGET FORMAT, one of";
    for (const varve::FormatInfo* format : varve::formats())
      if (format->can.create) std::cerr << ' ' << format->name;
    std::cerr << '\n';
    return 2;
  }
  std::signal(SIGINT, on_interrupt);
  try {
    const varve::CopyReport report = convert(argv[1], argv[2], argv[3]);
    std::cout << report.virtual_size << " bytes of disk, " << report.data_bytes << " of them data\n";
    return 0;
  } catch (const varve::Error& error) {
    std::cerr << error.what() << '\n';
    return error.code() == varve::Errc::cancelled ? 130 : 1;
  } catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
