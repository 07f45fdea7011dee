// What may be left on the medium after a power cut.
//
// A log of what was asked of the files is cut into windows by its flushes. What came before a flush of its file that returned is
// there. Of what is pending when the power fails any subset of the writes may be there, each whole or torn at 512 bytes: a sector is
// old or new, never garbage. A write that grew the file may have left its size without its data, or its data without its size.
//
// Writes are widened to whole sectors as the host's page cache would do it: a sector that was written twice in parts
// never shows the second part without the first.
#ifndef VARVE_TESTS_SUPPORT_POWER_CUT_H
#define VARVE_TESTS_SUPPORT_POWER_CUT_H

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "support/paged_file.h"
#include "support/seeds.h"
#include "support/storages.h"

namespace varve::test {

using FileSet = std::vector<PagedFile>;

/// How a medium leaves a write that the power cut short.
struct Tearing {
  uint64_t unit = 512;   ///< bytes: what is old or new as a whole
  bool garbage = false;  ///< or neither: a unit that was being written may hold anything
};

struct CutState {
  FileSet files;
  size_t position = 0;  ///< the power failed before operation `position` of the log; all before it had been issued
  std::string name;     ///< "window 3, without write 2": with the seed it names the state
  /// What is in pieces: of a write that is neither whole nor missing, the offset in its file.
  std::optional<uint64_t> torn;
};

class PowerCuts {
 public:
  /// `base`: the files before the log, numbered as its events are.
  PowerCuts(FileSet base, std::vector<StorageEvent> log, Rng& rng, Tearing tearing = {});

  using Hash = PagedFile::Hash;
  using Visit = std::function<void(const CutState&)>;
  /// What must still be there after a cut at a position, as any number that grows with it: the same bytes are a state of its own
  /// once more has been promised.
  using Promise = std::function<uint64_t(size_t position)>;

  /// Calls `visit` once for each state. `distinct` gathers the hashes of their bytes, over several logs if it is shared. In windows that
  /// ended before position `from` of the log the power does not fail.
  void enumerate(std::set<Hash>& distinct, const Promise& promise, const Visit& visit, size_t from = 0);

 private:
  struct Unit {
    bool resize;
    size_t file;
    uint64_t offset;  ///< of resize: the new size
    std::vector<std::byte> data;
    uint64_t old_size;
    size_t position;  ///< in the log
  };
  using Mask = std::vector<bool>;

  Unit widen(const StorageEvent& event, FileSet& now, size_t position) const;
  static void apply(FileSet& files, const Unit& unit);
  void apply_torn(FileSet& files, const Unit& unit, const Mask& sectors);
  void cut_before(size_t position);
  void complete_flush(size_t file);
  void prefixes(size_t position);
  void subsets(size_t position);
  void torn(size_t position);
  void sizes();
  void keep(const Mask& chosen, size_t position, const std::string& name);
  void emit(FileSet files, size_t position, const std::string& name, std::optional<uint64_t> torn = std::nullopt);

  FileSet durable_;            ///< with all that flushes have promised
  std::vector<Unit> pending_;  ///< in the order in which they were issued
  const std::vector<StorageEvent> log_;
  Rng& rng_;
  const Tearing tearing_;
  size_t window_ = 0;
  size_t window_begin_ = 0;  ///< position behind the last flush: the power failed after that
  std::set<std::pair<Hash, uint64_t>> visited_;
  std::set<Hash>* distinct_ = nullptr;
  const Promise* promise_ = nullptr;
  const Visit* visit_ = nullptr;
};

/// Each one once.
inline std::vector<CutState> all_states(const FileSet& base, std::vector<StorageEvent> log, Rng& rng) {
  std::vector<CutState> states;
  std::set<PowerCuts::Hash> distinct;
  const auto keep = [&](const CutState& state) { states.push_back(state); };
  PowerCuts(base, std::move(log), rng)
      .enumerate(
          distinct, [](size_t) { return 0; }, keep);
  return states;
}

}  // namespace varve::test

#endif
