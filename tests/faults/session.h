// A disk in use, each step of which may fail, and what it may hold afterwards.
#ifndef VARVE_TESTS_FAULTS_SESSION_H
#define VARVE_TESTS_FAULTS_SESSION_H

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "crash/history.h"
#include "faults/bench.h"
#include "faults/shelf.h"
#include "support/shadow_disk.h"
#include "varve/image.h"

namespace varve::test {

/// Opens a subject for writing and does the steps, each whether or not those before it failed. Afterwards every sector has to hold what it
/// held at the last flush that worked, or something that was written since.
class Session final : public Attempt {
 public:
  using Steps = std::function<void(Session&)>;
  Session(Bench& bench, const Subject& subject, Steps steps);

  // The steps. Offsets count from the subject's window, in whole sectors.
  void write(uint64_t offset, uint64_t length);
  void zero(uint64_t offset, uint64_t length);
  void discard(uint64_t offset, uint64_t length);
  void read(uint64_t offset, uint64_t length);
  void flush();
  void grow(uint64_t bytes);
  void check(Repair repair = Repair::none);
  void close();
  /// The window's bytes.
  uint64_t size() const { return model_.size(); }

  std::string verdict(const Circumstances& how) override;

 private:
  void run() override;
  Image open(Access access) const;
  template <typename Call>
  bool change(Call call);
  void account(bool done, uint64_t offset, uint64_t length);
  std::string judge_content(const Circumstances& circumstances);
  std::string judge_reading(const Circumstances& circumstances);

  Bench& bench_;
  const Subject& subject_;
  const Steps steps_;
  ShadowDisk model_;  ///< as if no step had failed
  History history_;
  std::unique_ptr<Image> image_;
  uint64_t generation_ = 10;
  size_t now_ = 1;               ///< the number of the next step
  const char* wrong_ = nullptr;  ///< seen in the middle
  bool flush_failed_ = false;
};

/// What is done with a disk.
struct Usage {
  std::string name;
  Session::Steps steps;
};
/// Ways to use any disk.
const std::vector<Usage>& usages();

std::vector<Script> session_scripts();
std::vector<Script> repair_scripts();

}  // namespace varve::test

#endif
