// The tree against a map of clusters: what it shows, and what it gives up (sections 5, 6 and 8).
#include "native/tree.h"

#include <map>
#include <optional>
#include <set>
#include <utility>

#include "native/builder.h"
#include "native/walk.h"
#include "support/seeds.h"

namespace varve::test {
namespace {

using native::ClusterRun;
using native::Kind;
using native::Object;
using native::Pointer;
using native::Tree;

constexpr uint64_t kCluster = 4096;
constexpr uint64_t kBeyond = uint64_t{1} << 40;  ///< an end of used space that nothing reaches

native::Header header() {
  native::Header header;
  header.cluster_size = kCluster;
  header.unit = 4096;
  return header;
}

/// A file that nodes are stored in. Clusters are pointers only: nothing looks at their bytes.
struct Store {
  std::shared_ptr<MemoryStorage> file = std::make_shared<MemoryStorage>("tree");
  native::Extents extents{file, header(), kMiB / 2, kMiB / 2};
  uint64_t next = kExtents;
  uint64_t birth = 1;
  std::set<uint64_t> given_up;  ///< places, since the last store()

  Tree tree(const Object& object) {
    return Tree(extents, object, [] { return kBeyond; });
  }
  Object store(Tree& tree) {
    const Object stored = tree.store(birth++, [this] {
      file->resize(std::max(file->size(), next + kNode));
      return std::exchange(next, next + kNode);
    });
    return stored;
  }
  Pointer cluster() {
    Pointer p;
    p.kind = Kind::data;
    p.birth = birth;
    p.offset = std::exchange(next, next + kCluster);
    p.length = kCluster;
    p.tag[0] = static_cast<uint8_t>(p.offset >> 12);
    return p;
  }
  Tree::GiveUp give_up() {
    return [this](const Pointer& p) {
      CHECK(p.has_extent());
      CHECK_MESSAGE(given_up.insert(p.offset).second, "given up twice: " << p.offset);
    };
  }
  /// Every place that a stored object leads to.
  std::set<uint64_t> reachable(const Object& object) {
    std::set<uint64_t> places;
    native::walk(extents, object, 0, kBeyond,
                 [&](const Pointer& p) { CHECK_MESSAGE(places.insert(p.offset).second, "reached twice: " << p.offset); });
    return places;
  }
};

/// What stands in each cluster; what is not here is absent.
class Model {
 public:
  explicit Model(uint64_t clusters) : clusters_(clusters) {}

  uint64_t clusters() const { return clusters_; }
  void set(uint64_t cluster, const Pointer& pointer) { map_[cluster] = pointer; }
  void clear(uint64_t first, uint64_t count, uint64_t birth) {
    if (birth == 0) return remove(first, first + count);
    remove(first, first + count);
    zeros_.push_back({first, first + count});
  }
  void resize(uint64_t clusters) {
    remove(clusters, UINT64_MAX);
    clusters_ = clusters;
  }
  Kind kind(uint64_t cluster) const {
    if (map_.contains(cluster)) return Kind::data;
    for (const auto& [first, end] : zeros_)
      if (cluster >= first && cluster < end) return Kind::zero;
    return Kind::absent;
  }
  std::optional<Pointer> at(uint64_t cluster) const {
    const auto found = map_.find(cluster);
    return found == map_.end() ? std::nullopt : std::optional(found->second);
  }
  const std::map<uint64_t, Pointer>& data() const { return map_; }

 private:
  void remove(uint64_t first, uint64_t end) {
    map_.erase(map_.lower_bound(first), map_.lower_bound(end));
    std::vector<std::pair<uint64_t, uint64_t>> left;
    for (const auto& [a, b] : zeros_) {
      if (a < std::min(b, first)) left.push_back({a, std::min(b, first)});
      if (std::max(a, end) < b) left.push_back({std::max(a, end), b});
    }
    zeros_ = left;
  }

  std::map<uint64_t, Pointer> map_;
  std::vector<std::pair<uint64_t, uint64_t>> zeros_;
  uint64_t clusters_;
};

void require_same(const Tree& tree, const Model& model, uint64_t cluster, uint64_t most) {
  const ClusterRun run = tree.run_at(cluster, most);
  const Kind kind = model.kind(cluster);
  CAPTURE(cluster);
  REQUIRE(run.clusters >= 1);
  REQUIRE(run.clusters <= most);
  REQUIRE(static_cast<int>(run.pointer.kind) == static_cast<int>(kind));
  if (kind == Kind::data) {
    REQUIRE(run.clusters == 1);
    REQUIRE(run.pointer == *model.at(cluster));
  }
  // The run's ends, and some between.
  for (const uint64_t i : {run.clusters - 1, run.clusters / 2, run.clusters / 3})
    if (cluster + i < model.clusters()) REQUIRE(static_cast<int>(model.kind(cluster + i)) == static_cast<int>(kind));
}

/// From the first cluster to the last, by runs.
void require_all(const Tree& tree, const Model& model) {
  uint64_t data = 0;
  for (uint64_t at = 0; at < model.clusters();) {
    require_same(tree, model, at, model.clusters() - at);
    const ClusterRun run = tree.run_at(at, model.clusters() - at);
    data += run.pointer.kind == Kind::data ? 1 : 0;
    at += run.clusters;
  }
  REQUIRE(data == model.data().size());
}

class Exercise {
 public:
  Exercise(Rng& rng, uint64_t clusters) : rng_(rng), most_(clusters), model_(clusters), tree_(store_.tree(empty(clusters))) {}

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      change();
      for (int i = 0; i < 3 && model_.clusters() != 0; ++i) {
        const uint64_t at = place();
        require_same(tree_, model_, at, 1 + rng_.below(model_.clusters() - at));
      }
      if (rng_.one_in(8)) store();
    }
    store();
  }

 private:
  static Object empty(uint64_t clusters) {
    Object object;
    object.size = clusters * kCluster;
    object.height = static_cast<uint8_t>(native::height_of(object.size, kCluster));
    return object;
  }

  /// Often near an end or a node's border.
  uint64_t place() {
    const uint64_t clusters = model_.clusters();
    const uint64_t border = rng_.one_in(2) ? 512 : 512 * 512;
    switch (rng_.below(4)) {
      case 0: return clusters - 1 - rng_.below(std::min<uint64_t>(clusters, 4));
      case 1: return std::min(clusters - 1, rng_.below(4) * border + rng_.below(3));
      case 2: return std::min(clusters - 1, rng_.below(40));
      default: return rng_.below(clusters);
    }
  }

  uint64_t length_from(uint64_t at) {
    const uint64_t left = model_.clusters() - at;
    switch (rng_.below(4)) {
      case 0: return left;
      case 1: return std::min(left, uint64_t{512} << rng_.below(10));
      case 2: return std::min(left, 1 + rng_.below(5));
      default: return 1 + rng_.below(left);
    }
  }

  void change() {
    const auto give_up = store_.give_up();
    if (model_.clusters() == 0 || rng_.one_in(12)) {
      const uint64_t clusters = rng_.one_in(6) ? 0 : rng_.one_in(2) ? rng_.below(most_ + 1) : rng_.pick<uint64_t>(kSizes);
      tree_.resize(clusters * kCluster - (clusters != 0 && rng_.one_in(2) ? 1000 : 0), give_up);
      return model_.resize(clusters);
    }
    const uint64_t at = place();
    if (rng_.below(3) != 0) {
      const Pointer pointer = store_.cluster();
      tree_.set(at, pointer, give_up);
      // What is never stored and given up again is no extent of any state.
      fresh_.insert(pointer.offset);
      return model_.set(at, pointer);
    }
    const uint64_t count = length_from(at);
    const uint64_t birth = rng_.one_in(2) ? store_.birth : 0;
    tree_.clear(at, count, birth, give_up);
    model_.clear(at, count, birth);
  }

  /// Reloads as well. Exactly what the state before held, or was placed since, and is held no more was given up.
  void store() {
    require_all(tree_, model_);
    const Object stored = store_.store(tree_);
    const std::set<uint64_t> now = store_.reachable(stored);
    std::set<uint64_t> expected;
    for (const auto* from : {&before_, &fresh_})
      for (const uint64_t offset : *from)
        if (!now.contains(offset)) expected.insert(offset);
    REQUIRE(store_.given_up == expected);
    for (const auto& [cluster, pointer] : model_.data()) REQUIRE(now.contains(pointer.offset));
    REQUIRE_FALSE(tree_.changed());
    REQUIRE(tree_.object().root == stored.root);
    require_all(tree_, model_);
    if (rng_.one_in(2)) {
      // As a program that opens the file sees it: nothing but the object's bytes and the file's.
      const native::ObjectRaw raw = native::encode(stored, 4096);
      const Object parsed = native::parse_object(raw, {kCluster, 4096, kBeyond}, store_.birth - 1);
      native::Extents extents(store_.file, header(), kMiB / 2, kMiB / 2);
      require_all(Tree(extents, parsed, [] { return kBeyond; }), model_);
      tree_ = store_.tree(parsed);
    }
    before_ = now;
    fresh_.clear();
    store_.given_up.clear();
  }

  static constexpr std::array<uint64_t, 8> kSizes = {1, 2, 511, 512, 513, 512 * 512, 512 * 512 + 1, 700000};
  Rng& rng_;
  const uint64_t most_;
  Store store_;
  Model model_;
  Tree tree_;
  std::set<uint64_t> before_;
  std::set<uint64_t> fresh_;
};

TEST_CASE("a tree agrees with a map at every height, and gives up exactly what is no longer reachable") {
  for (const uint64_t clusters :
       {uint64_t{1}, uint64_t{2}, uint64_t{512}, uint64_t{513}, uint64_t{2000}, uint64_t{300000}, uint64_t{1} << 28}) {
    for (uint64_t round = 0; round < scaled(6); ++round) {
      Rng rng("tree " + std::to_string(clusters) + " " + std::to_string(round));
      SHOW_SEED(rng);
      CAPTURE(clusters);
      Exercise(rng, clusters).run(120);
    }
  }
}

TEST_CASE("the tallest tree: the first and the last cluster of 2^62 bytes") {
  Store store;
  Object object;
  object.size = native::kMaxSize;
  object.height = native::kMaxHeight;
  Tree tree = store.tree(object);
  const uint64_t last = native::kMaxSize / kCluster - 1;
  const Pointer first_pointer = store.cluster();
  const Pointer last_pointer = store.cluster();
  tree.set(0, first_pointer, store.give_up());
  tree.set(last, last_pointer, store.give_up());
  const Object stored = store.store(tree);
  CHECK(store.reachable(stored).size() == 2 + 11);  // six nodes down either way, one of them shared
  CHECK(tree.run_at(0, last).pointer == first_pointer);
  CHECK(tree.run_at(last, 5).pointer == last_pointer);
  CHECK(tree.run_at(1, UINT64_MAX).clusters == 511);
  tree.resize(kCluster, store.give_up());
  CHECK(store.given_up.size() == 1 + 11);
  CHECK(tree.object().height == 0);
  CHECK(tree.run_at(0, 1).pointer == first_pointer);
}

TEST_CASE("a cleared range takes no nodes where it covers them, and zeros stay zeros when part of them is written") {
  Store store;
  Object object;
  object.size = 512 * 512 * kCluster;
  object.height = 2;
  Tree tree = store.tree(object);
  tree.clear(0, 512 * 512, store.birth, store.give_up());
  CHECK(store.reachable(store.store(tree)).empty());
  CHECK(tree.run_at(5, UINT64_MAX).clusters == 512 * 512 - 5);
  tree.set(1000, store.cluster(), store.give_up());
  const Object stored = store.store(tree);
  CHECK(store.reachable(stored).size() == 3);
  CHECK(static_cast<int>(tree.run_at(999, 1).pointer.kind) == static_cast<int>(Kind::zero));
  CHECK(tree.run_at(1001, UINT64_MAX).clusters == 23);  // looks at one node beside the way
  CHECK(tree.run_at(0, UINT64_MAX).clusters == 512);
  CHECK(store.given_up.empty());
}

TEST_CASE("what stands behind the size of a stored tree does not come back when it grows") {
  Store store;
  Object object;
  object.size = 512 * kCluster;
  object.height = 1;
  Tree tree = store.tree(object);
  tree.set(0, store.cluster(), store.give_up());
  tree.set(300, store.cluster(), store.give_up());
  tree.clear(400, 2, store.birth, store.give_up());
  Object stored = store.store(tree);
  stored.size = 100 * kCluster;  // which no writer of ours leaves behind
  Tree cut = store.tree(stored);
  cut.resize(512 * kCluster, store.give_up());
  CHECK(static_cast<int>(cut.run_at(0, 1).pointer.kind) == static_cast<int>(Kind::data));
  CHECK(static_cast<int>(cut.run_at(300, 1).pointer.kind) == static_cast<int>(Kind::absent));
  CHECK(static_cast<int>(cut.run_at(400, 1).pointer.kind) == static_cast<int>(Kind::absent));
}

TEST_CASE("zeros that reach behind the end have no entries there when part of them is written") {
  Store store;
  Object object;
  object.size = 700 * kCluster;
  object.height = 2;
  object.root = native::zero_pointer(store.birth, 2);  // as a repair puts it in the place of a lost node
  Tree tree = store.tree(object);
  tree.set(600, store.cluster(), store.give_up());
  tree.clear(699, 1, 0, store.give_up());
  Object stored = store.store(tree);
  for (const auto& [cluster, kind] : {std::pair{0, Kind::zero}, {600, Kind::data}, {698, Kind::zero}, {699, Kind::absent}})
    CHECK(static_cast<int>(tree.run_at(cluster, 1).pointer.kind) == static_cast<int>(kind));
  stored.size = 1024 * kCluster;
  CHECK(static_cast<int>(store.tree(stored).run_at(700, 1).pointer.kind) == static_cast<int>(Kind::absent));
}

}  // namespace
}  // namespace varve::test
