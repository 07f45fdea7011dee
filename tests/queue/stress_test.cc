// Sixteen threads, four queues, one image, and a model that knows what each block must hold.
//
// A block names itself: its number, the generation that wrote it, and a pattern of both. Whoever works on a block has claimed it, so the
// model is exact; the claims of all threads are mixed in every cluster, in every queue and in every worker.
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>

#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/seeds.h"
#include "support/test.h"
#include "varve/queue.h"

using namespace varve;
using namespace varve::test;

namespace {

constexpr unsigned kThreads = 16;
constexpr unsigned kQueues = 4;
constexpr unsigned kDepth = 32;
constexpr uint64_t kBlock = 4096;
constexpr uint64_t kBlocks = 4096;
constexpr uint64_t kZeros = 0;  ///< as a generation

/// What is known of a block. Changed by who has claimed it.
struct BlockState {
  std::atomic<bool> claimed{false};
  uint64_t generation = kZeros;
  uint64_t discarded = UINT64_MAX;  ///< a generation that it may hold instead, since it was discarded
};

/// A request and its memory, until its completion was taken.
struct Operation {
  RequestKind kind = RequestKind::read;
  uint64_t first = 0;
  uint64_t count = 0;
  uint64_t generation = 0;
  std::vector<std::byte> bytes;
  iovec segment{};
};

class Stress {
 public:
  Stress(Image& image, bool snapshots) : engine_(image, {6}), snapshots_(snapshots), blocks_(kBlocks) {
    for (unsigned i = 0; i < kQueues; ++i) queues_.push_back(std::make_unique<Queue>(engine_, kDepth));
  }

  /// What went wrong, or an empty string.
  std::string run(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back([this, i, end] { guarded([&] { work(i, end); }); });
    for (std::thread& thread : threads) thread.join();
    for (const auto& queue : queues_)
      while (take(*queue, 1)) continue;
    if (wrong_.empty()) guarded([&] { verify([&](uint64_t at, MutableBytes out) { engine_.read_at(at, out); }); });
    return wrong_;
  }

  /// The same disk, opened anew.
  std::string verify_again(Image& reopened) {
    guarded([&] { verify([&](uint64_t at, MutableBytes out) { reopened.read_at(at, out); }); });
    return wrong_;
  }

  void close() { engine_.close(); }
  uint64_t done() const { return done_; }
  std::set<RequestKind> kinds() const { return kinds_; }

 private:
  template <typename Body>
  void guarded(Body body) {
    try {
      body();
    } catch (const std::exception& error) {
      complain(error.what());
    }
  }

  void complain(const std::string& what) {
    const std::lock_guard lock(mutex_);
    if (wrong_.empty()) wrong_ = what;
    failed_ = true;
  }

  void work(unsigned thread, std::chrono::steady_clock::time_point end) {
    Rng rng("stress " + std::to_string(thread));
    Queue& queue = *queues_[thread % kQueues];
    while (std::chrono::steady_clock::now() < end && !failed_) {
      if (snapshots_ && thread == 0 && rng.one_in(200)) change_snapshots(rng);
      if (rng.one_in(50)) engine_.extent_at(rng.below(kBlocks) * kBlock);
      if (!submit(queue, rng)) take(queue, 1);
      if (rng.one_in(4)) take(queue, 0);
    }
  }

  void change_snapshots(Rng& rng) {
    engine_.exclusive([&](Image& image) {
      if (image.snapshots().size() > 3)
        image.delete_snapshot(image.snapshots()[rng.below(3)].name);
      else
        image.create_snapshot("s" + std::to_string(next_snapshot_++), 1);
    });
  }

  /// As many blocks from `first` on as nobody else works on, at most `most`.
  uint64_t claim(uint64_t first, uint64_t most) {
    uint64_t count = 0;
    while (count < most && first + count < kBlocks && !blocks_[first + count].claimed.exchange(true)) ++count;
    return count;
  }

  /// False: the queue is full.
  bool submit(Queue& queue, Rng& rng) {
    auto operation = std::make_unique<Operation>();
    operation->kind = pick_kind(rng);
    Request request;
    request.kind = operation->kind;
    request.cookie = reinterpret_cast<uintptr_t>(operation.get());
    if (operation->kind != RequestKind::flush) {
      operation->first = rng.below(kBlocks);
      operation->count = claim(operation->first, rng.between(1, rng.one_in(20) ? 40 : 4));
      if (operation->count == 0) return true;
      prepare(*operation, request);
      request.fua = request.kind != RequestKind::read && rng.one_in(100);
    }
    if (!queue.submit(request)) {
      release(*operation);
      return false;
    }
    static_cast<void>(operation.release());  // take() has it back from the cookie
    return true;
  }

  static RequestKind pick_kind(Rng& rng) {
    const uint64_t dice = rng.below(100);
    if (dice < 45) return RequestKind::read;
    if (dice < 90) return RequestKind::write;
    if (dice < 94) return RequestKind::zero;
    if (dice < 98) return RequestKind::discard;
    return RequestKind::flush;
  }

  void prepare(Operation& operation, Request& request) {
    const uint64_t length = operation.count * kBlock;
    request.offset = operation.first * kBlock;
    if (operation.kind == RequestKind::zero || operation.kind == RequestKind::discard) {
      request.length = length;
      return;
    }
    operation.bytes.resize(length);
    if (operation.kind == RequestKind::write) {
      operation.generation = ++generation_;
      fill_pattern(request.offset, operation.generation, operation.bytes);
    }
    operation.segment = {operation.bytes.data(), operation.bytes.size()};
    request.segments = {&operation.segment, 1};
  }

  /// False: nothing came.
  bool take(Queue& queue, size_t least) {
    std::array<Completion, 8> some;
    const size_t count = queue.wait(some, least, std::chrono::milliseconds(1000));
    for (size_t i = 0; i < count; ++i) {
      const std::unique_ptr<Operation> operation(reinterpret_cast<Operation*>(some[i].cookie));
      guarded([&] {
        if (some[i].error) std::rethrow_exception(some[i].error);
        finish(*operation);
      });
      release(*operation);
      ++done_;
    }
    return count != 0;
  }

  void finish(const Operation& operation) {
    {
      const std::lock_guard lock(mutex_);
      kinds_.insert(operation.kind);
    }
    for (uint64_t i = 0; i < operation.count; ++i) {
      BlockState& block = blocks_[operation.first + i];
      if (operation.kind == RequestKind::read)
        expect(operation.first + i, ConstBytes(operation.bytes).subspan(i * kBlock, kBlock));
      else if (operation.kind == RequestKind::discard && block.generation != kZeros)
        block.discarded = std::exchange(block.generation, kZeros);
      else if (operation.kind == RequestKind::discard)
        continue;  // it may still hold what was discarded before
      else
        block.generation = operation.kind == RequestKind::write ? operation.generation : kZeros;
      if (operation.kind == RequestKind::write || operation.kind == RequestKind::zero) block.discarded = UINT64_MAX;
    }
  }

  void release(const Operation& operation) {
    for (uint64_t i = 0; i < operation.count; ++i) blocks_[operation.first + i].claimed = false;
  }

  static bool is_generation(uint64_t number, uint64_t generation, ConstBytes bytes) {
    const std::vector<std::byte> right =
        generation == kZeros ? std::vector<std::byte>(kBlock) : pattern(number * kBlock, generation, kBlock);
    return std::equal(bytes.begin(), bytes.end(), right.begin());
  }

  void expect(uint64_t number, ConstBytes bytes) {
    const BlockState& block = blocks_[number];
    if (is_generation(number, block.generation, bytes)) return;
    if (block.discarded != UINT64_MAX && is_generation(number, block.discarded, bytes)) return;
    complain("block " + std::to_string(number) + " holds " + describe_block(bytes) + ", expected is generation " +
             std::to_string(block.generation));
  }

  template <typename Read>
  void verify(Read read) {
    std::vector<std::byte> bytes(kBlock);
    for (uint64_t number = 0; number < kBlocks; ++number) {
      read(number * kBlock, bytes);
      expect(number, bytes);
    }
  }

  Engine engine_;
  const bool snapshots_;
  std::vector<BlockState> blocks_;
  std::vector<std::unique_ptr<Queue>> queues_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<uint64_t> done_{0};
  std::atomic<bool> failed_{false};
  uint64_t next_snapshot_ = 0;
  std::mutex mutex_;  // covers what follows
  std::set<RequestKind> kinds_;
  std::string wrong_;
};

/// All of a stress run takes a minute.
void stress(const ImageConfig& config, uint64_t seconds, const Limits& limits = {}) {
  TestDisk disk(config);
  OpenOptions how = disk.open_options();
  how.limits = limits;
  Image image = disk.open(how);
  {
    Stress run(image, config.format == "varve");
    CHECK(run.run(std::chrono::milliseconds(scaled(seconds * 1000))) == "");
    MESSAGE(config.name << ": " << run.done() << " requests");
    CHECK(run.kinds().size() == 5);
    CHECK(run.done() > scaled(seconds * 500));
    run.close();
    Image reopened = disk.open(Access::read_only);
    CHECK(run.verify_again(reopened) == "");
    CHECK(damages(reopened) == "");
  }
}

constexpr uint64_t kSize = kBlocks * kBlock;

}  // namespace

TEST_CASE("threads: stress of a varve image with compression and encryption, snapshots coming and going") {
  Limits small;  // so that clusters leave memory all the time
  small.write_buffer = 4 << 20;
  small.cluster_cache = 4 << 20;
  stress({"varve, zstd, encrypted", "varve", {{"compression", "zstd"}, {"encryption", "aes-256-gcm"}}, kSize, std::nullopt}, 24, small);
}

TEST_CASE("threads: stress of a plain varve image") { stress({"varve", "varve", {{"compression", "none"}}, kSize, std::nullopt}, 12); }

TEST_CASE("threads: stress of a VHDX") { stress({"vhdx", "vhdx", {{"block_size", "1M"}}, kSize, std::nullopt}, 12); }

TEST_CASE("threads: stress of a VMDK") { stress({"vmdk", "vmdk", {{"subformat", "monolithicSparse"}}, kSize, std::nullopt}, 12); }
