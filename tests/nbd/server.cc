#include "nbd/server.h"

#include <algorithm>
#include <cstdlib>
#include <sstream>

#include "cli/cli.h"

namespace varve::test {
namespace {

/// The words of `argv` by way of a shell that sends standard error into a file and becomes the program.
std::vector<std::string> with_error_file(const std::vector<std::string>& argv, const std::string& file) {
  std::vector<std::string> words = {"sh", "-c", "exec \"$@\" 2>\"$0\"", file};
  words.insert(words.end(), argv.begin(), argv.end());
  return words;
}

std::vector<std::string> at_socket(std::vector<std::string> argv, const std::string& socket) {
  static const std::string kPlace = "@SOCKET@";
  for (std::string& word : argv)
    if (const size_t at = word.find(kPlace); at != std::string::npos) word.replace(at, kPlace.size(), socket);
  return argv;
}

}  // namespace

std::string nbdkit_plugin() {
  const char* path = std::getenv("VARVE_NBDKIT_PLUGIN");
  REQUIRE_MESSAGE(path != nullptr, "VARVE_NBDKIT_PLUGIN must name the plugin");
  return path;
}

std::vector<std::string> nbdkit_argv(const ServeHow& how) {
  std::vector<std::string> words = {"nbdkit", "--exit-with-parent"};
  words.insert(words.end(), how.options.begin(), how.options.end());
  words.push_back(nbdkit_plugin());
  words.insert(words.end(), how.parameters.begin(), how.parameters.end());
  return words;
}

std::string refused_start(const ServeHow& how) {
  const RunResult result = serve_and_run(how, "echo served");
  INFO(result.out << result.err);
  CHECK(result.exit_code == 1);
  CHECK(result.out.empty());
  CHECK(result.err.starts_with("nbdkit: error: "));
  CHECK(std::count(result.err.begin(), result.err.end(), '\n') == 1);
  return result.err;
}

RunResult serve_and_run(const ServeHow& how, const std::string& script, std::chrono::milliseconds timeout) {
  ServeHow captive = how;
  captive.options.insert(captive.options.end(), {"-U", "-"});
  std::vector<std::string> words = nbdkit_argv(captive);
  words.insert(words.end(), {"--run", script});
  return run(words, {}, timeout);
}

NbdServer::NbdServer(std::vector<std::string> argv) : socket_(dir_ / "socket") {
  process_ = std::make_unique<Background>(with_error_file(at_socket(std::move(argv), socket_), dir_ / "errors"));
  REQUIRE_MESSAGE(eventually([&] { return !process_->running() || listens(socket_); }), "the server does not listen: " << said());
  REQUIRE_MESSAGE(process_->running(), "the server has ended: " << said());
}

NbdServer::NbdServer(const ServeHow& how)
    : NbdServer([&how] {
        ServeHow at = how;
        at.options.insert(at.options.end(), {"-U", "@SOCKET@"});
        return nbdkit_argv(at);
      }()) {}

std::string NbdServer::said() const { return read_file(dir_ / "errors"); }

bool listens(const std::string& socket) {
  std::istringstream all(read_file("/proc/net/unix"));
  for (std::string line; std::getline(all, line);)
    if (line.ends_with(" " + socket) && line.find(" 00010000 ") != std::string::npos) return true;  // __SO_ACCEPTCON
  return false;
}

}  // namespace varve::test
