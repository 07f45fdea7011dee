// What is written where and when, by the rules of sections 8 to 10, whatever is read meanwhile.
#include <functional>
#include <optional>

#include "native/builder.h"
#include "native/superblock.h"
#include "native/unlocked.h"
#include "native/walk.h"
#include "support/bytes.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/secrets.h"
#include "support/seeds.h"
#include "support/storages.h"

namespace varve::test {
namespace {

/// Holds each change of the file against what the superblocks in it refer to.
class Watch final : public PassingStorage {
 public:
  explicit Watch(std::shared_ptr<Storage> below) : PassingStorage(std::move(below)) {
    const Unlocked image = unlocked(*below_);
    for (const auto& block : {image.superblocks.older, std::optional(image.superblocks.current)})
      if (block) refers(image, *block);
  }

  /// Called once, when a cluster has been read. Not for nodes, which are read under a lock.
  std::function<void()> after_read;
  uint64_t commits = 0, records = 0;
  /// All that was written.
  bool durable() const { return durable_; }

  void read_at(uint64_t offset, MutableBytes out) override {
    below_->read_at(offset, out);
    if (offset >= kExtents && out.size() != kNode && after_read) std::exchange(after_read, nullptr)();
  }

  void write_at(uint64_t offset, ConstBytes data) override {
    const bool superblock = offset == 4096 || offset == 69632;
    if (superblock) CHECK_MESSAGE(flushed_, "a superblock is written before what it refers to is durable");
    CHECK_MESSAGE(superblock_durable_, "something is written before the superblock is durable");
    flushed_ = durable_ = false;
    if (offset >= kExtents) extent(offset, data.size());
    below_->write_at(offset, data);
    if (!superblock) return;
    REQUIRE(data.size() == kBlock);
    superblock_durable_ = false;
    const Unlocked image = unlocked(*below_);
    const native::Superblock& newest = image.superblocks.current;
    CHECK(native::superblock_offset(newest.generation) == offset);
    CHECK(newest.generation == generation_ + 1);
    refers(image, newest);
    ++commits;
  }

  void flush() override {
    below_->flush();
    flushed_ = superblock_durable_ = durable_ = true;
  }

  void resize(uint64_t size) override {
    for (const IntervalSet& used : used_) CHECK_MESSAGE(size >= used.end(), "the file is cut before what a superblock refers to");  // R4
    below_->resize(size);
  }

  bool punch_hole(uint64_t offset, uint64_t length) override {
    for (const IntervalSet& used : used_) CHECK_FALSE(used.find_overlap(offset, length));  // R2
    return below_->punch_hole(offset, length);
  }

 private:
  /// Blocks, for media tear at them.
  void refers(const Unlocked& image, const native::Superblock& s) {
    const native::Header& header = image.headers.header;
    native::Extents extents(below_, header, kMiB / 2, kMiB / 2, image.cipher);
    const native::Catalog catalog =
        native::parse_catalog(native::read_object(extents, s.catalog, s.end), s.rules(header), s.generation, s.head_parent);
    IntervalSet& blocks = used_[s.generation % 2] = {};
    native::used_space(extents, s, catalog).for_each([&](const Interval& run) {
      const uint64_t first = run.offset / kBlock * kBlock;
      blocks.insert(first, (run.end() - first + kBlock - 1) / kBlock * kBlock);
    });
    generation_ = s.generation;
    journal_ = s.journal_length == 0 ? std::nullopt : std::optional(Interval{s.journal_offset, s.journal_length});
    next_record_ = s.journal_offset + s.generation % 2 * (s.journal_length / 2);
  }

  void extent(uint64_t offset, uint64_t length) {
    CAPTURE(offset);
    CAPTURE(length);
    if (journal_ && offset >= journal_->offset && offset < journal_->end()) {
      CHECK(offset == next_record_);  // each behind the one before, in the half of its generation
      next_record_ += length;
      CHECK(next_record_ <= journal_->offset + (generation_ % 2 + 1) * (journal_->length / 2));
      ++records;
      return;
    }
    const uint64_t first = offset / kBlock * kBlock;
    for (const IntervalSet& used : used_) CHECK_FALSE(used.find_overlap(first, offset + length - first));  // R1
  }

  std::array<IntervalSet, 2> used_;  ///< by the superblock's place
  uint64_t generation_ = 0;
  std::optional<Interval> journal_;
  uint64_t next_record_ = 0;
  bool flushed_ = false;
  bool superblock_durable_ = true;
  bool durable_ = true;
};

class Scenario {
 public:
  Scenario(Rng& rng, const OptionMap& options) : rng_(rng), model_(3 * kMiB + 700) {
    create_image(files_, "disk", "varve", model_.size(), options);
  }

  void run(int sessions) {
    for (int i = 0; i < sessions; ++i) {
      const auto watch = std::make_shared<Watch>(files_.find("disk"));
      OpenOptions options;
      options.access = Access::read_write;
      options.format = "varve";
      options.secret = test_key();
      if (i % 3 == 1) options.limits.write_buffer = 64 * kKiB;  // clusters leave memory between flushes
      Image image = Image::open(watch, options);
      for (int step = 0; step < 40; ++step) {
        rng_.one_in(3) ? read(image, *watch) : change(image, *watch);
      }
      commits += watch->commits;
      records += watch->records;
      if (rng_.one_in(4))
        image.flush();  // and let go, as if the program had ended
      else
        image.close();
      Image again = Image::open(files_.find("disk"), [] {
        OpenOptions o;
        o.format = "varve";
        o.secret = test_key();
        return o;
      }());
      REQUIRE(contents_of(again) == model_);
      REQUIRE(damages(again).empty());
    }
  }

  uint64_t commits = 0, records = 0;

 private:
  /// Often held up until some more has been changed and flushed.
  void read(Image& image, Watch& watch) {
    const uint64_t offset = rng_.below(model_.size());
    Bytes out(std::min<uint64_t>(model_.size() - offset, 1 + rng_.below(200000)));
    if (rng_.one_in(2)) {
      watch.after_read = [&] {
        for (int more = 0; more < 8; ++more) change(image, watch, false);
      };
    }
    image.read_at(offset, out);
    watch.after_read = nullptr;
  }

  void change(Image& image, const Watch& watch, bool may_resize = true) {
    const uint64_t offset = rng_.below(model_.size());
    const uint64_t length = std::min<uint64_t>(model_.size() - offset, 1 + rng_.below(rng_.one_in(3) ? 300000 : 6000));
    switch (rng_.below(10)) {
      case 0: image.zero(offset, length); return put_bytes(model_, offset, Bytes(length));
      case 1:
        if (!may_resize || !rng_.one_in(4)) return;
        model_.resize(kMiB + rng_.below(3 * kMiB));
        return image.resize(model_.size());
      case 2:
      case 3:
      case 4:
        image.flush();
        CHECK_MESSAGE(watch.durable(), "a flush is done before what was written is durable");
        return;
      default: {
        Bytes data(length);
        const uint64_t same = rng_.below(3) == 0 ? 1 : 8;  // some compress, some do not
        for (size_t i = 0; i < data.size(); ++i) data[i] = i % same == 0 ? static_cast<std::byte>(rng_.next()) : data[i - 1];
        image.write_at(offset, data);
        return put_bytes(model_, offset, data);
      }
    }
  }

  Rng& rng_;
  MemoryFileSystem files_;
  Bytes model_;
};

TEST_CASE("R1 to R5: nothing that a superblock refers to is written, cut off or punched out, and each is durable in its turn") {
  for (const char* const compression : {"none", "zlib:1", "zstd:1"}) {
    for (const char* const cluster : {"4K", "64K"}) {
      uint64_t commits = 0;
      uint64_t records = 0;
      for (uint64_t round = 0; round < scaled(4); ++round) {
        Rng rng("write order " + std::to_string(round));
        SHOW_SEED(rng);
        CAPTURE(compression);
        CAPTURE(cluster);
        CAPTURE(round);
        const char* const encryption = round % 2 == 0 ? "none" : "aes-256-gcm";
        Scenario scenario(rng,
                          {{"compression", compression}, {"cluster_size", cluster}, {"journal_size", "128K"}, {"encryption", encryption}});
        scenario.run(5);
        commits += scenario.commits;
        records += scenario.records;
      }
      CHECK(commits > 25 * scaled(4));
      CHECK(records > 5 * scaled(4));
    }
  }
}

TEST_CASE("R6: what the journal does not hold makes the next flush a commit") {
  MemoryFileSystem files;
  Bytes model(512 * kKiB);
  create_image(files, "disk", "varve", model.size(), {{"cluster_size", "4K"}, {"journal_size", "256K"}});
  OpenOptions options;
  options.format = "varve";
  {
    options.access = Access::read_write;
    options.limits.write_buffer = 16 * kKiB;
    const auto watch = std::make_shared<Watch>(files.find("disk"));
    Image image = Image::open(watch, options);
    const auto write = [&](uint64_t offset, uint64_t length) {
      image.write_at(offset, pattern(offset, 1, length));
      put_bytes(model, offset, pattern(offset, 1, length));
    };
    for (uint64_t i = 1; i < 6; ++i) {
      write(i * kBlock, kBlock);
      image.flush();
    }
    REQUIRE(watch->records > 0);
    const uint64_t before = watch->commits;
    SUBCASE("zeros") {
      image.zero(0, 2 * kBlock);
      put_bytes(model, 0, Bytes(2 * kBlock));
    }
    SUBCASE("what is dropped") {
      image.discard(3 * kBlock, kBlock);
      put_bytes(model, 3 * kBlock, Bytes(kBlock));
    }
    SUBCASE("clusters that have left memory") { write(64 * kKiB, 64 * kKiB); }
    SUBCASE("a size") {
      model.resize(300 * kKiB);
      image.resize(model.size());
    }
    image.flush();
    CHECK(watch->commits == before + 1);
  }
  options.access = Access::read_only;
  Image again = Image::open(files.find("disk"), options);  // as if the program had ended there
  CHECK(contents_of(again) == model);
  CHECK(damages(again) == "");
}

}  // namespace
}  // namespace varve::test
