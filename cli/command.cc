#include "command.h"

#include <algorithm>
#include <array>
#include <numeric>

namespace varve::cli {

std::span<const Command* const> commands() {
  static const std::array<const Command*, 17> table = {
      &create_command(),  &info_command(),   &convert_command(), &check_command(),   &map_command(),      &compare_command(),
      &measure_command(), &resize_command(), &rebase_command(),  &commit_command(),  &snapshot_command(), &attachment_command(),
      &key_command(),     &serve_command(),  &bench_command(),   &formats_command(), &help_command(),
  };
  return table;
}

const Command* find_command(std::string_view name) {
  for (const Command* command : commands())
    if (command->name == name) return command;
  return nullptr;
}

namespace {

/// Insertions, removals, replacements and swaps of neighbours that lead from one word to the other.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before, above, row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    before = std::move(above);
    above = std::move(row);
    row.assign(b.size() + 1, i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      row[j + 1] = std::min({above[j + 1] + 1, row[j] + 1, above[j] + (a[i] == b[j] ? 0 : 1)});
      if (i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j]) row[j + 1] = std::min(row[j + 1], before[j - 1] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string did_you_mean(std::string_view word, const std::vector<std::string>& candidates) {
  const std::string* best = nullptr;
  size_t best_distance = std::max<size_t>(1, std::min<size_t>(3, word.size() / 2)) + 1;
  for (const std::string& candidate : candidates) {
    const bool abbreviation = word.size() >= 3 && candidate.size() > word.size() && candidate.compare(0, word.size(), word) == 0;
    const size_t distance = abbreviation ? 1 : edit_distance(word.substr(0, 64), candidate);
    if (distance >= best_distance) continue;
    best = &candidate;
    best_distance = distance;
  }
  return best == nullptr ? std::string() : "did you mean '" + *best + "'?";
}

}  // namespace varve::cli
