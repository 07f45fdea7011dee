// What the shell is told. docs/cli.md lists them; scripts depend on each.
#ifndef VARVE_CLI_EXIT_CODES_H
#define VARVE_CLI_EXIT_CODES_H

namespace varve::cli {

enum ExitCode : int {
  kDone = 0,
  kFailed = 1,
  kUsage = 64,
  kSignalBase = 128,  ///< plus the signal's number: SIGINT 130, SIGTERM 143

  kCheckDamaged = 2,
  kCheckLeaks = 3,
  kCheckUnsupported = 63,

  kCompareDifferent = 1,
  kCompareFailed = 2,
};

}  // namespace varve::cli

#endif
