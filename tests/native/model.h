// Random operations on an image of the native format and on a model of it: the disk, and what each snapshot holds.
#ifndef VARVE_TESTS_NATIVE_MODEL_H
#define VARVE_TESTS_NATIVE_MODEL_H

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "io/memory_file_system.h"
#include "support/seeds.h"
#include "support/shadow_disk.h"
#include "varve/image.h"

namespace varve::test {

struct ModelConfig {
  std::string name;
  OptionMap options;
  uint64_t cluster = 4096;
  uint64_t size = 0;
  uint64_t steps = 0;       ///< of a plain run, over all seeds
  std::string parent = {};  ///< format of the disk that it lies over; empty: none
  uint64_t parent_size = 0;
  uint64_t write_buffer = 0;  ///< Limits::write_buffer; 0: as it is
};

/// After each operation the bytes that it touched are compared; after each commit what can be reached in the file is compared with what the
/// image takes for used; after each close nothing may be lost.
class ModelRun {
 public:
  ModelRun(const ModelConfig& config, Rng& rng);

  /// What is wrong first, and after which step; empty if nothing is.
  std::string run(uint64_t steps);

 private:
  struct Range {
    uint64_t offset;
    uint64_t length;
  };
  static constexpr const char* kPath = "dir/disk.varve";
  static constexpr const char* kParent = "dir/base.img";

  std::string step();
  std::string change_disk(uint64_t choice);
  std::string change_snapshots(uint64_t choice);

  std::string read(Range range);
  std::string write(Range range);
  std::string zero(Range range);
  std::string discard(Range range);
  std::string resize();
  std::string create();
  std::string rename();
  std::string revert();
  std::string read_snapshot(const std::string& name);
  std::string reopen();
  std::string drop();

  void make_parent();
  OpenOptions options(Access access);
  void open();
  Range random_range();
  const std::string& any_snapshot();
  std::string judge_space();
  std::string judge_end();
  std::string judge_all();

  const ModelConfig config_;
  Rng& rng_;
  MemoryFileSystem files_;
  std::optional<Image> image_;
  ShadowDisk disk_;
  std::map<std::string, ShadowDisk> kept_;
  uint64_t next_name_ = 0;
  uint64_t generation_ = 1;  ///< of patterns
  uint64_t judged_ = 0;      ///< generation of the image whose space was looked at
  uint64_t opened_ = 0;      ///< the one that this session began with
};

}  // namespace varve::test

#endif
