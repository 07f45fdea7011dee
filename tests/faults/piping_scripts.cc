#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>

#include "faults/scripts.h"

namespace varve::test {
namespace {

/// A file without a name.
class Anonymous {
 public:
  Anonymous() : fd_(memfd_create("varve-test", MFD_CLOEXEC)) {
    if (fd_ < 0) throw std::runtime_error("memfd_create");
  }
  ~Anonymous() { close(fd_); }
  Anonymous(const Anonymous&) = delete;
  Anonymous& operator=(const Anonymous&) = delete;

  int fd() const { return fd_; }
  void fill(ConstBytes bytes) const {
    const bool written = write(fd_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size());
    if (!written || lseek(fd_, 0, SEEK_SET) != 0) throw std::runtime_error("memfd");
  }
  std::vector<std::byte> contents() const {
    std::vector<std::byte> all(static_cast<size_t>(lseek(fd_, 0, SEEK_END)));
    if (lseek(fd_, 0, SEEK_SET) != 0 || ::read(fd_, all.data(), all.size()) != static_cast<ssize_t>(all.size()))
      throw std::runtime_error("memfd");
    return all;
  }

 private:
  const int fd_;
};

/// Standard input or output is another file meanwhile.
class Redirected {
 public:
  Redirected(int standard, int instead) : standard_(standard), saved_(dup(standard)) { dup2(instead, standard_); }
  ~Redirected() {
    dup2(saved_, standard_);
    close(saved_);
  }
  Redirected(const Redirected&) = delete;
  Redirected& operator=(const Redirected&) = delete;

 private:
  const int standard_;
  const int saved_;
};

/// From a stream on standard input into a new image.
class Receiving final : public Attempt {
 public:
  Receiving(Bench& bench, const Subject& stream, OptionMap options) : bench_(bench), stream_(stream), options_(std::move(options)) {
    input_.fill(stream.files->at(stream.image).whole());
  }

  std::string verdict(const Circumstances& how) override { return judge_product(bench_, {}, {"new", format(), stream_.content}, how); }

 private:
  const char* format() const { return options_.empty() ? "raw" : "vmdk"; }
  void run() override {
    const Redirected in(STDIN_FILENO, input_.fd());
    convert("-", bench_.path("new"), conversion(bench_, "vmdk", format(), options_));
  }

  Bench& bench_;
  const Subject& stream_;
  const OptionMap options_;
  const Anonymous input_;
};

/// To standard output.
class Sending final : public Attempt {
 public:
  Sending(Bench& bench, const Subject& source, OptionMap options) : bench_(bench), source_(source), options_(std::move(options)) {}

  std::string verdict(const Circumstances& how) override {
    if (std::string wrong = difference(*source_.files, bench_.contents()); !wrong.empty()) return wrong;
    if (!how.done || !how.honest) return {};
    MemoryFileSystem files;
    files.add("got", output_.contents());
    return judge_image(files, "got", format(), source_.content);
  }

 private:
  const char* format() const { return options_.empty() ? "raw" : "vmdk"; }
  void run() override {
    const Redirected out(STDOUT_FILENO, output_.fd());
    convert(bench_.path(source_.image), "-", conversion(bench_, source_.format, format(), options_));
  }

  Bench& bench_;
  const Subject& source_;
  const OptionMap options_;
  const Anonymous output_;
};

Script receiving(const std::string& name, const Subject& stream, const OptionMap& options) {
  return {name, std::make_shared<FileSet>(),
          [&stream, options](Bench& bench) { return std::make_unique<Receiving>(bench, stream, options); }};
}

Script sending(const std::string& name, const Subject& source, const OptionMap& options) {
  return {name, source.files, [&source, options](Bench& bench) { return std::make_unique<Sending>(bench, source, options); }};
}

}  // namespace

std::vector<Script> piping_scripts() {
  const OptionMap sparse = {{"subformat", "monolithicSparse"}};
  const OptionMap stream = {{"subformat", "streamOptimized"}};
  return {receiving("convert standard input to raw", vmdk_disk("streamOptimized"), {}),
          receiving("convert standard input to sparse", vmdk_disk("streamOptimized"), sparse),
          receiving("convert standard input to a stream", vmdk_disk("streamOptimized"), stream),
          sending("convert raw to a stream on standard output", raw_disk(), stream),
          sending("convert sparse to a stream on standard output", vmdk_disk("monolithicSparse"), stream),
          sending("convert sparse to raw on standard output", vmdk_disk("monolithicSparse"), {})};
}

}  // namespace varve::test
