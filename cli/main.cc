// The command line tool: finds the command in the table, runs it and turns what happened into one line and an exit code.
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <iostream>
#include <new>

#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "help.h"
#include "messages.h"
#include "signals.h"
#include "varve/error.h"

namespace varve::cli {
namespace {

/// A stream that the parent has closed would lend its number to the next file that is opened, an image perhaps. Something that fails
/// for every use takes the place.
void occupy_standard_streams() {
  for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF) continue;
    if (open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0) _exit(kFailed);
  }
}

/// Has whoever read standard output gone? A pipe tells by POLLERR, a socket by POLLHUP.
bool reader_is_gone() {
  struct pollfd output = {STDOUT_FILENO, POLLOUT, 0};
  return poll(&output, 1, 0) > 0 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

int fail(Messages& messages, const std::string& text, int code) {
  messages.error(text);
  return code;
}

int usage_failure(Messages& messages, const std::string& command, const UsageError& e) {
  const std::string hint = e.hint().empty() ? "see 'varve help" + (command.empty() ? "" : " " + command) + "'" : e.hint();
  return fail(messages, (command.empty() ? "" : command + ": ") + e.what() + ": " + hint, kUsage);
}

int run_command(const Command& command, const std::vector<std::string>& words, Messages& messages, const Signals& signals) {
  try {
    const Arguments arguments(command, words);
    Session session{std::cout, messages, signals.cancel()};
    if (arguments.wants_help()) {
      print_help(command, session.out);
      return kDone;
    }
    return command.run(arguments, session);
  } catch (const OutputFailed&) {
    return command.failed;
  } catch (const UsageError& e) {
    return usage_failure(messages, std::string(command.name), e);
  } catch (const Error& e) {
    if (e.code() == Errc::io && e.path() == "<stdout>" && reader_is_gone()) {  // of a conversion to a pipe, which goes past std::cout
      std::cout.setstate(std::ios::badbit);
      return command.failed;
    }
    const bool stopped = e.code() == Errc::cancelled && signals.received() != 0;
    return fail(messages, e.what(), stopped ? kSignalBase + signals.received() : command.failed);
  } catch (const std::bad_alloc&) {
    return fail(messages, "out of memory", command.failed);
  }
}

int run(const std::vector<std::string>& words, Messages& messages) {
  try {
    if (words.empty()) throw UsageError("no command");
    const std::string& name = words.front();
    const std::vector<std::string> rest(words.begin() + 1, words.end());
    if (name == "--version") {
      std::cout << "varve " VARVE_VERSION "\n";
      return kDone;
    }
    if (name == "--help" || name == "-h") {
      print_overview(std::cout);
      return kDone;
    }
    const Command* command = find_command(name);
    if (command == nullptr)
      throw UsageError(std::string(name[0] == '-' ? "unknown option" : "unknown command") + " '" + name + "'",
                       did_you_mean(name, command_names()));
    const Signals signals;
    return run_command(*command, rest, messages, signals);
  } catch (const UsageError& e) {
    return usage_failure(messages, "", e);
  } catch (const std::exception& e) {
    return fail(messages, e.what(), kFailed);
  }
}

/// Results that did not arrive are a failure, whether the disk is full or the file server gone. If it is the reader that has gone
/// ("varve map x | head"), we end as any program does that writes to such a pipe: by SIGPIPE and without a word, unless the parent
/// process wants SIGPIPE to be ignored.
int close_output(int code, bool sigpipe_ends_us, Messages& messages) {
  errno = 0;
  const bool written = std::cout.flush().good();
  int failure = errno;
  if (written && (close(STDOUT_FILENO) == 0 || errno == EBADF)) return code;
  if (written) failure = errno;
  if (!written && reader_is_gone()) {
    failure = EPIPE;
    if (sigpipe_ends_us) {
      std::signal(SIGPIPE, SIG_DFL);
      raise(SIGPIPE);
    }
  }
  messages.error(std::string("standard output: cannot write") + (failure == 0 ? "" : std::string(": ") + std::strerror(failure)));
  return code == kDone ? kFailed : code;
}

}  // namespace
}  // namespace varve::cli

int main(int argc, char** argv) {
  using namespace varve::cli;
  occupy_standard_streams();
  // Both become errors of the call that caused them, and take the way of all errors.
  const bool sigpipe_ends_us = std::signal(SIGPIPE, SIG_IGN) == SIG_DFL;
  std::signal(SIGXFSZ, SIG_IGN);
  Messages messages;
  const int code = run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc), messages);
  return close_output(code, sigpipe_ends_us, messages);
}
