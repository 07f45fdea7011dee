// A storage that fails at once when an image of the native format breaks the order of its writes (docs/formats/varve.md, section 8).
#ifndef VARVE_TESTS_NATIVE_ORDERING_STORAGE_H
#define VARVE_TESTS_NATIVE_ORDERING_STORAGE_H

#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/interval_set.h"
#include "native/superblock.h"
#include "support/storages.h"

namespace varve::test {

struct OrderViolation : std::logic_error {
  using std::logic_error::logic_error;
};

/// What is known of one file, over all its openings.
class OrderRules {
 public:
  /// Takes over what the file holds as durable.
  explicit OrderRules(std::shared_ptr<Storage> file);

  void before_write(uint64_t offset, ConstBytes data);
  void before_punch(uint64_t offset, uint64_t length);
  void before_resize(uint64_t size);
  void after_flush();

  uint64_t superblocks() const { return superblocks_; }
  uint64_t records() const { return records_; }
  uint64_t reused() const { return reused_; }
  /// The first that was broken: the driver may swallow what it is thrown.
  const std::string& broken() const { return broken_; }

 private:
  /// A superblock that may be on the medium, and the whole blocks that it refers to, its journal left out.
  struct Root {
    native::Superblock superblock;
    IntervalSet blocks;
  };

  [[noreturn]] void fail(const std::string& what);
  void check_superblock(ConstBytes block, uint64_t slot);
  void check_journal(uint64_t offset, uint64_t length);
  void check_unprotected(uint64_t offset, uint64_t length, const char* what);

  const std::shared_ptr<Storage> file_;
  std::optional<Root> slots_[2];  ///< by parity: durable
  std::optional<Root> issued_;    ///< written, not flushed: either it or what stood in its slot is there
  IntervalSet unflushed_;         ///< bytes written
  uint64_t durable_size_ = 0;
  IntervalSet records_now_;         ///< of the journal, not flushed
  IntervalSet records_durable_[2];  ///< by the parity of their generation
  uint64_t end_ever_ = 0;           ///< the highest byte that was written
  uint64_t superblocks_ = 0;
  uint64_t records_ = 0;
  uint64_t reused_ = 0;  ///< writes below that
  std::string broken_;
};

/// Thread-safe: one call at a time.
class OrderingStorage final : public PassingStorage {
 public:
  OrderingStorage(std::shared_ptr<Storage> below, std::shared_ptr<OrderRules> rules)
      : PassingStorage(std::move(below)), rules_(std::move(rules)) {}
  void read_at(uint64_t offset, MutableBytes out) override;
  void write_at(uint64_t offset, ConstBytes data) override;
  void flush() override;
  void resize(uint64_t size) override;
  bool punch_hole(uint64_t offset, uint64_t length) override;

 private:
  const std::shared_ptr<OrderRules> rules_;
  std::mutex mutex_;
};

}  // namespace varve::test

#endif
