// A command that prints a secret.
#ifndef VARVE_CLI_KEY_COMMAND_H
#define VARVE_CLI_KEY_COMMAND_H

#include <sys/types.h>

#include <string>

#include "varve/progress.h"

namespace varve::cli {

/// `/bin/sh -c COMMAND`, with an empty standard input and our standard error. It is asked to end if nobody waits for it.
class KeyCommand {
 public:
  explicit KeyCommand(const std::string& command);
  KeyCommand(const KeyCommand&) = delete;
  KeyCommand& operator=(const KeyCommand&) = delete;
  ~KeyCommand();

  int output() const { return output_; }
  /// Throws io, with the status, if it failed.
  void wait(const CancelToken& cancel);

 private:
  int output_ = -1;
  pid_t pid_ = -1;
};

}  // namespace varve::cli

#endif
