// The snapshots of an image, for people and for programs.
#ifndef VARVE_CLI_SNAPSHOT_TREE_H
#define VARVE_CLI_SNAPSHOT_TREE_H

#include <ostream>
#include <string>
#include <vector>

#include "json_output.h"
#include "varve/snapshot.h"

namespace varve::cli {

/// "2026-11-24 23:05:07", UTC.
std::string time_text(uint64_t nanoseconds);
/// Nanoseconds since 1970.
uint64_t time_now();

/// An array, parents before children.
Json to_json(const std::vector<SnapshotInfo>& all);
/// Below each snapshot, indented, those that are based on it.
void print_snapshot_tree(std::ostream& out, const std::vector<SnapshotInfo>& all, size_t indent = 0);

}  // namespace varve::cli

#endif
