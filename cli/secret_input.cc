#include "secret_input.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "key_command.h"
#include "varve/text.h"

namespace varve::cli {
namespace {

constexpr size_t kMostPassphrase = 1024;
constexpr size_t kRawKey = 32;
constexpr size_t kNewline = 2;  // at most
constexpr int kPatience = 50;   // milliseconds until the token is looked at again
constexpr unsigned kTries = 3;  // to type a new passphrase twice alike
constexpr auto kLineFeed = std::byte{'\n'};
constexpr auto kCarriageReturn = std::byte{'\r'};

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const { return fd_; }

 private:
  const int fd_;
};

[[noreturn]] void fail(const std::string& name) {
  throw Error(errno == ENOENT ? Errc::not_found : Errc::io, std::strerror(errno)).in(name);
}

void dump_no_core() {
  prctl(PR_SET_DUMPABLE, 0);
  const rlimit none{0, 0};
  setrlimit(RLIMIT_CORE, &none);
}

/// 0 at the end.
size_t read_some(int fd, MutableBytes out, const std::string& name, const CancelToken& cancel) {
  while (true) {
    cancel.check();
    pollfd waiting{fd, POLLIN, 0};
    if (poll(&waiting, 1, kPatience) == 0) continue;
    const ssize_t count = read(fd, out.data(), out.size());
    if (count >= 0) return static_cast<size_t>(count);
    if (errno != EINTR && errno != EAGAIN) fail(name);
  }
}

enum class Until : uint8_t { end, line };

/// Up to `most` bytes.
Secret read_up_to(int fd, size_t most, Until until, const std::string& name, const CancelToken& cancel) {
  dump_no_core();
  Secret bytes(most);
  size_t size = 0;
  while (size < most) {
    const size_t count = read_some(fd, bytes.bytes().subspan(size), name, cancel);
    size += count;
    if (count == 0 || (until == Until::line && bytes.bytes()[size - 1] == kLineFeed)) break;
  }
  bytes.shorten(size);
  return bytes;
}

/// More than any secret has, so that what is too long is seen.
Secret read_all(int fd, const std::string& name, const CancelToken& cancel) {
  return read_up_to(fd, kMostPassphrase + kNewline + 1, Until::end, name, cancel);
}

void cut_newline(Secret& text) {
  const ConstBytes bytes = text.bytes();
  size_t size = bytes.size();
  if (size == 0 || bytes[size - 1] != kLineFeed) return;
  --size;
  if (size > 0 && bytes[size - 1] == kCarriageReturn) --size;
  text.shorten(size);
}

void keep_first_line(Secret& text) {
  const ConstBytes bytes = text.bytes();
  const auto end = std::find(bytes.begin(), bytes.end(), kLineFeed);
  if (end != bytes.end()) text.shorten(static_cast<size_t>(end - bytes.begin()) + 1);
}

KeySecret key_of(Secret bytes, SecretKind kind, const std::string& name) {
  if (kind == SecretKind::raw_key) {
    if (bytes.size() != kRawKey)
      throw Error(Errc::invalid_argument, "a raw key has exactly " + std::to_string(kRawKey) + " bytes, and this is " +
                                              (bytes.size() < kRawKey ? std::to_string(bytes.size()) : "more"))
          .in(name);
    return {kind, std::move(bytes)};
  }
  cut_newline(bytes);
  if (bytes.empty()) throw Error(Errc::invalid_argument, "the passphrase is empty").in(name);
  if (bytes.size() > kMostPassphrase)
    throw Error(Errc::limit, "the passphrase is longer than " + std::to_string(kMostPassphrase) + " bytes").in(name);
  return {kind, std::move(bytes)};
}

}  // namespace

KeySecret read_key_file(const std::string& path, SecretKind kind, Messages& messages, const CancelToken& cancel) {
  // A pipe whose writer is not there yet is waited for by poll(), which can be stopped.
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (file.get() < 0) fail(path);
  struct stat status {};
  if (fstat(file.get(), &status) != 0) fail(path);
  if (S_ISREG(status.st_mode) && (status.st_mode & 077) != 0)
    messages.warn(path + ": others than its owner have rights to this key file: take them away with chmod 600");
  return key_of(read_all(file.get(), path, cancel), kind, path);
}

KeySecret read_key_descriptor(int fd, SecretKind kind, const CancelToken& cancel) {
  const std::string name = "descriptor " + std::to_string(fd);
  return key_of(read_all(fd, name, cancel), kind, name);
}

KeySecret run_key_command(const std::string& command, SecretKind kind, const CancelToken& cancel) {
  const std::string name = "key command";
  KeyCommand child(command);
  Secret output = read_all(child.output(), name, cancel);
  // A command that could not print all it has would fail.
  for (Secret rest(4096); read_some(child.output(), rest.bytes(), name, cancel) > 0;) {
  }
  child.wait(cancel);
  if (kind == SecretKind::passphrase) keep_first_line(output);
  return key_of(std::move(output), kind, name);
}

// ---- the terminal ----------------------------------------------------------------------------------

namespace {

/// The terminal that the process belongs to, wherever its standard streams lead.
class Terminal {
 public:
  explicit Terminal(const CancelToken& cancel) : cancel_(cancel), fd_(open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY)) {}

  bool is_there() const { return fd_.get() >= 0; }

  void say(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t written = write(fd_.get(), text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return;
      text.remove_prefix(static_cast<size_t>(written));
    }
  }

  /// One line, which does not show.
  Secret ask(const std::string& prompt) const {
    const Silence silence(fd_.get());
    say(prompt);
    Secret line = read_up_to(fd_.get(), kMostPassphrase + kNewline + 1, Until::line, kName, cancel_);
    if (line.empty()) throw Error(Errc::authentication, "no passphrase given");
    return line;
  }

 private:
  static constexpr const char* kName = "/dev/tty";

  /// No echo while it lives. What was typed before the prompt, or behind the line, is dropped.
  class Silence {
   public:
    explicit Silence(int fd) : fd_(fd) {
      if (tcgetattr(fd, &before_) != 0) fail(kName);
      termios silent = before_;
      silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
      silent.c_lflag |= ICANON | ISIG | ECHONL;
      if (tcsetattr(fd, TCSAFLUSH, &silent) != 0) fail(kName);
    }
    Silence(const Silence&) = delete;
    Silence& operator=(const Silence&) = delete;
    ~Silence() { tcsetattr(fd_, TCSAFLUSH, &before_); }

   private:
    const int fd_;
    termios before_{};
  };

  const CancelToken& cancel_;
  const Descriptor fd_;
};

}  // namespace

std::optional<KeySecret> ask_passphrase(const std::string& path, bool again, const CancelToken& cancel) {
  const Terminal terminal(cancel);
  if (!terminal.is_there()) return std::nullopt;
  if (again) terminal.say("wrong passphrase, try again\n");
  return key_of(terminal.ask("Passphrase for " + escape_text(path) + ": "), SecretKind::passphrase, path);
}

KeySecret ask_new_passphrase(const std::string& path, const CancelToken& cancel) {
  const Terminal terminal(cancel);
  if (!terminal.is_there())
    throw Error(Errc::authentication, "no passphrase given").in(path).hint("name a file that holds it with --out-key-file");
  for (unsigned tried = 0; tried < kTries; ++tried) {
    if (tried > 0) terminal.say("the two differ, try again\n");
    Secret first = terminal.ask("New passphrase for " + escape_text(path) + ": ");
    const Secret second = terminal.ask("Again: ");
    if (std::ranges::equal(first.bytes(), second.bytes())) return key_of(std::move(first), SecretKind::passphrase, path);
  }
  throw Error(Errc::authentication, "the new passphrase was not typed twice alike").in(path);
}

}  // namespace varve::cli
