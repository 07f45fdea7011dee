#include "snapshot_tree.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>

#include "text_output.h"

namespace varve::cli {
namespace {

/// Deeper ones are not indented further: a tree may be a line of thousands.
constexpr size_t kMostIndents = 20;

Json to_json(const SnapshotInfo& info) {
  Json json = {{"name", info.name},
               {"uuid", info.uuid},
               {"id", info.id},
               {"parent", info.parent},
               {"time", time_text(info.time)},
               {"virtual_size", info.virtual_size},
               {"branch_point", info.branch_point},
               {"current", info.current},
               {"held", info.held}};
  if (info.exclusive_bytes) json["exclusive_bytes"] = *info.exclusive_bytes;
  return json;
}

void print_snapshot(std::ostream& out, const SnapshotInfo& info) {
  out << (info.branch_point ? "(branch point)" : escape_text(info.name)) << "  " << time_text(info.time) << "  "
      << format_size(info.virtual_size);
  if (info.exclusive_bytes) out << ", " << format_size(*info.exclusive_bytes) << " its own";
  if (info.held) out << ", held";
  out << (info.current ? "  <- the disk is based on this\n" : "\n");
}

}  // namespace

std::string time_text(uint64_t nanoseconds) {
  const auto seconds = static_cast<std::time_t>(nanoseconds / 1000000000);
  std::tm parts{};
  std::string text(sizeof("YYYY-MM-DD hh:mm:ss"), '\0');
  if (gmtime_r(&seconds, &parts) == nullptr) return "?";
  text.resize(std::strftime(text.data(), text.size(), "%Y-%m-%d %H:%M:%S", &parts));
  return text;
}

uint64_t time_now() {
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

Json to_json(const std::vector<SnapshotInfo>& all) {
  Json rows = Json::array();
  for (const SnapshotInfo& info : all) rows.push_back(to_json(info));
  return rows;
}

void print_snapshot_tree(std::ostream& out, const std::vector<SnapshotInfo>& all, size_t indent) {
  std::map<uint64_t, std::vector<const SnapshotInfo*>> below;
  for (const SnapshotInfo& info : all) below[info.parent].push_back(&info);
  struct Row {
    const SnapshotInfo* info;
    size_t depth;
  };
  std::vector<Row> left;
  const auto add = [&](uint64_t parent, size_t depth) {
    const auto& children = below[parent];
    for (auto child = children.rbegin(); child != children.rend(); ++child) left.push_back({*child, depth});
  };
  for (add(0, 0); !left.empty();) {
    const Row row = left.back();
    left.pop_back();
    out << std::string(indent + 2 * std::min(row.depth, kMostIndents), ' ');
    print_snapshot(out, *row.info);
    add(row.info->id, row.depth + 1);
  }
}

}  // namespace varve::cli
