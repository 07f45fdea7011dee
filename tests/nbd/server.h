// nbdkit with the plugin of this build, as a server for tests.
#ifndef VARVE_TESTS_NBD_SERVER_H
#define VARVE_TESTS_NBD_SERVER_H

#include <memory>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/test.h"

namespace varve::test {

/// The plugin that this build has made.
std::string nbdkit_plugin();

struct ServeHow {
  std::vector<std::string> options = {};     ///< of nbdkit: "-r"
  std::vector<std::string> parameters = {};  ///< of the plugin: "file=...", "format=..."
};

/// argv of nbdkit in the foreground.
std::vector<std::string> nbdkit_argv(const ServeHow& how);

/// Runs nbdkit, which must fail to start: one line on standard error. Its text.
std::string refused_start(const ServeHow& how);

/// Serves `how` and runs `script` by sh with $uri, then ends the server.
RunResult serve_and_run(const ServeHow& how, const std::string& script, std::chrono::milliseconds timeout = std::chrono::seconds(60));

/// A server on a Unix socket in a directory of its own. It is killed at the latest when the object ends.
class NbdServer {
 public:
  /// Any program that serves at the socket it is told of: `argv` with every "@SOCKET@" replaced. Waits until it listens; a server that does
  /// not is a failure of the test, with what it said.
  explicit NbdServer(std::vector<std::string> argv);
  /// nbdkit.
  explicit NbdServer(const ServeHow& how);

  const std::string& socket() const { return socket_; }
  std::string uri() const { return "nbd+unix:///?socket=" + socket_; }
  pid_t pid() const { return process_->pid(); }
  bool running() { return process_->running(); }
  /// What it has written to standard error so far.
  std::string said() const;
  /// Sends the signal and waits. Its exit code, 128 + signal if it was killed.
  int stop(int signal = 15) { return process_->stop(signal); }

 private:
  TempDir dir_;
  std::string socket_;
  std::unique_ptr<Background> process_;
};

/// Something listens there. It does not notice that it is asked.
bool listens(const std::string& socket);

}  // namespace varve::test

#endif
