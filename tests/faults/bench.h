// Something that is done with images while the host or the heap fails, and the judgement of what is left of it.
#ifndef VARVE_TESTS_FAULTS_BENCH_H
#define VARVE_TESTS_FAULTS_BENCH_H

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "faults/file_bytes.h"
#include "io/memory_file_system.h"
#include "support/storages.h"
#include "varve/error.h"
#include "varve/image.h"

namespace varve::test {

/// The folder that a script works in.
class Bench {
 public:
  virtual ~Bench() = default;
  /// The way of the script to the files, whose calls may fail.
  virtual FileSystem& files() = 0;
  /// The same files, and nothing fails.
  virtual FileSystem& sound() = 0;
  virtual std::string path(const std::string& name) const = 0;
  virtual FileSet contents() = 0;
  /// What a script gives up is removed, whatever fails.
  virtual bool can_always_remove() const { return true; }
  /// A flush that the script asked for has failed.
  virtual bool flush_failed() const { return false; }
};

/// A folder in memory.
class MemoryBench final : public Bench {
 public:
  explicit MemoryBench(const FileSet& files, std::shared_ptr<FaultPlan> plan = std::make_shared<FaultPlan>());
  FileSystem& files() override { return faulty_; }
  FileSystem& sound() override { return memory_; }
  std::string path(const std::string& name) const override { return "dir/" + name; }
  FileSet contents() override;
  bool flush_failed() const override { return plan_->flush_failed(); }

 private:
  const std::shared_ptr<FaultPlan> plan_;
  MemoryFileSystem memory_;
  FaultyFileSystem faulty_;
};

/// What may be asked of the outcome.
struct Circumstances {
  bool done = false;     ///< the script came to its end
  bool honest = true;    ///< what the host said was true
  bool torn = false;     ///< half of a write may be there
  bool lasting = false;  ///< all calls failed to the end: nothing could be read or removed any more
};

/// The errors that a script met, noted down without memory.
class Witness {
 public:
  void saw(const Error& error) noexcept;
  /// The first of an error that is none of these; empty if there is none.
  std::string other_than(const std::vector<Errc>& codes) const;

 private:
  uint64_t codes_ = 0;
  std::array<std::array<char, 160>, 16> lines_{};  // the first of each code
};

/// One run of a script.
class Attempt {
 public:
  virtual ~Attempt() = default;

  /// Does it. True if it came to its end.
  bool carry_out();
  /// With no fault any more: what is wrong with what is there now, or an empty string. Throws what opening and reading throws.
  virtual std::string verdict(const Circumstances& how) = 0;
  const Witness& witness() const { return witness_; }

 protected:
  virtual void run() = 0;
  /// False if the call failed.
  template <typename Call>
  bool try_to(Call call) {
    try {
      call();
      return true;
    } catch (const Error& error) {
      witness_.saw(error);
      return false;
    } catch (const std::bad_alloc&) {
      return false;
    }
  }

 private:
  Witness witness_;
};

struct Script {
  std::string name;
  std::shared_ptr<const FileSet> files;
  std::function<std::unique_ptr<Attempt>(Bench&)> begin;
  std::optional<Errc> also = std::nullopt;  ///< an error that may come besides those of the host
  uint64_t one_in = 1;                      ///< of many calls that are alike so many need not be struck
  uint64_t one_allocation_in = 1;           ///< of those besides
};

/// Empty if `now` is `before` but for what is in `may_differ`; else the first file that is not.
std::string difference(const FileSet& before, const FileSet& now, const std::vector<std::string>& may_differ = {});

/// As damages() (support/image_kit.h), less what a check has to say of a varve superblock of which only half was written.
std::string damages_after(const Circumstances& how, Image& image);

/// Prints how many faults there were. A run in full with fewer than `at_least` fails.
void report(const std::string& what, uint64_t injected, uint64_t at_least);

}  // namespace varve::test

#endif
