// What `varve snapshot` can do beside changing the tree (snapshot.cc).
#ifndef VARVE_CLI_SNAPSHOT_ACTIONS_H
#define VARVE_CLI_SNAPSHOT_ACTIONS_H

#include "command.h"

namespace varve::cli {

int diff_snapshots(const Arguments& arguments, Session& session);
int export_snapshot(const Arguments& arguments, Session& session);

}  // namespace varve::cli

#endif
