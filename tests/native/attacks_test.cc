// Encrypted images in the hands of someone who has no key but any number of older copies: what stands at a place is not what was written
// there. Each attack is refused.
#include <algorithm>

#include "native/victim.h"

namespace varve::test {
namespace {

using native::Kind;
using native::Pointer;

void put_extent(Victim& v, const Pointer& onto, const Bytes& from_file, uint64_t from) {
  v.put(onto.offset, ConstBytes(from_file).subspan(from, onto.length));
}

TEST_CASE("varve, encrypted: a cluster in the place of another one is refused") {
  const auto v = make_victim();
  const std::vector<Pointer> clusters = extents_of(v->storage(), Kind::data);
  REQUIRE(clusters.size() == 24);
  const Bytes file = v->file();
  SUBCASE("two are swapped") {
    for (size_t i = 1; i < clusters.size(); i += 5) {
      v->put(file);
      put_extent(*v, clusters[0], file, clusters[i].offset);
      put_extent(*v, clusters[i], file, clusters[0].offset);
      expect_refused(v->outcome());
    }
  }
  SUBCASE("from another image with the same key") {
    const auto other = make_victim();
    for (const Pointer& cluster : clusters) {
      v->put(file);
      put_extent(*v, cluster, other->file(), cluster.offset);
      expect_refused(v->outcome());
    }
  }
  SUBCASE("from a copy of the file that was written to, at the same place and in the same generation") {
    rewrite(*v);
    const Bytes mine = v->file();
    v->put(file);
    rewrite(*v);
    const Bytes sibling = v->file();
    size_t same_place = 0;
    v->put(mine);
    for (const Pointer& cluster : extents_of(v->storage(), Kind::data)) {
      if (std::ranges::equal(ConstBytes(mine).subspan(cluster.offset, 16), ConstBytes(sibling).subspan(cluster.offset, 16))) continue;
      v->put(mine);
      put_extent(*v, cluster, sibling, cluster.offset);
      expect_refused(v->outcome());
      ++same_place;
    }
    CHECK(same_place == clusters.size());
  }
}

TEST_CASE("varve, encrypted: an older cluster or node is refused, at its own place and at that of its successor") {
  for (const Kind kind : {Kind::data, Kind::node}) {
    const auto v = make_victim({{"journal_size", "0"}});
    const Bytes first = v->file();
    const std::vector<Pointer> before = extents_of(v->storage(), kind);
    rewrite(*v);
    const Bytes second = v->file();
    const std::vector<Pointer> after = extents_of(v->storage(), kind);
    REQUIRE(before.size() == after.size());
    for (size_t i = 0; i < after.size(); ++i) {
      v->put(second);
      put_extent(*v, after[i], first, before[i].offset);
      expect_refused(v->outcome());
    }
    // Space comes back after some commits: then something else stands where it stood.
    std::vector<Bytes> history;
    v->put(second);
    v->open();
    for (int commit = 0; commit < 8; ++commit) {
      v->write(0, 8 * kKiB);
      v->flush();
      history.push_back(v->file());
    }
    v->close();
    const Bytes last = v->file();
    size_t reused = 0;
    for (const Pointer& extent : extents_of(v->storage(), kind)) {
      for (const Bytes& earlier : history) {
        if (extent.end() > earlier.size() || std::equal(&last[extent.offset], &last[extent.offset] + 16, &earlier[extent.offset])) continue;
        v->put(last);
        put_extent(*v, extent, earlier, extent.offset);
        expect_refused(v->outcome());
        ++reused;
      }
    }
    CHECK(reused > 0);
  }
}

TEST_CASE("varve, encrypted: clusters and nodes do not move between snapshots and the disk") {
  auto v = std::make_unique<Victim>(OptionMap{{"cluster_size", "4K"}});
  v->open();
  v->write(0, 32 * kKiB);
  v->snapshot("one");
  v->write(0, 32 * kKiB);
  v->snapshot("two");
  v->write(0, 32 * kKiB);
  v->close();
  const Bytes file = v->file();
  const std::vector<std::string> names = {"one", "two", ""};
  for (const Kind kind : {Kind::data, Kind::node}) {
    for (const std::string& from : names) {
      for (const std::string& onto : names) {
        if (from == onto) continue;
        v->put(file);
        put_extent(*v, extents_of(v->storage(), kind, onto)[0], file, extents_of(v->storage(), kind, from)[0].offset);
        expect_refused(v->outcome());
      }
    }
  }
}

TEST_CASE("varve, encrypted: zeros in a node or in an extent are refused") {
  const auto v = make_victim();
  const Bytes file = v->file();
  const Pointer node = extents_of(v->storage(), Kind::node)[0];
  for (uint64_t at = 0; at < node.length; at += 512) {
    v->put(node.offset + at, Bytes(32));
    expect_refused(v->outcome());
    v->put(node.offset + at, ConstBytes(file).subspan(node.offset + at, 32));
  }
  for (const Pointer& cluster : extents_of(v->storage(), Kind::data)) {
    v->put(file);
    v->put(cluster.offset, Bytes(cluster.length));
    expect_refused(v->outcome());
  }
}

TEST_CASE("varve, encrypted: a file that was cut anywhere is refused") {
  const auto v = make_victim();
  const Bytes file = v->file();
  REQUIRE(file.size() % kBlock == 0);
  OpenOptions accepting;
  accepting.accept_older_state = true;
  for (uint64_t size = 0; size < file.size(); size += kBlock) {
    CAPTURE(size);
    v->put(Bytes(file.begin(), file.begin() + static_cast<ptrdiff_t>(size)));
    expect_refused(v->outcome());
    expect_refused(v->outcome(accepting));
  }
}

}  // namespace
}  // namespace varve::test
