#include "native/world.h"

#include <algorithm>

#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/secrets.h"
#include "support/test.h"

namespace varve::test {

World::World(const OptionMap& options) {
  create_image(files_, kPath, "varve", kSize, options);
  open();
  disk_.bytes.resize(kSize);
  cluster_ = image_->info().cluster_size;
  disk_.versions.resize((kSize + cluster_ - 1) / cluster_);
}

OpenOptions World::options(Access access) {
  OpenOptions how;
  how.access = access;
  how.format = "varve";
  how.secret = test_key();
  how.file_system = &files_;
  return how;
}

std::vector<std::string> World::kept() const {
  std::vector<std::string> names;
  for (const auto& one : kept_) names.push_back(one.first);
  return names;
}

std::string World::any_of(Rng& rng) const { return kept()[rng.below(kept_.size())]; }

void World::touch(uint64_t offset, uint64_t length) {
  if (length == 0) return;
  ++version_;
  for (uint64_t i = offset / cluster_; i <= (offset + length - 1) / cluster_; ++i) disk_.versions.at(i) = version_;
}

void World::write(uint64_t offset, const Bytes& data) {
  image_->write_at(offset, data);
  std::copy(data.begin(), data.end(), disk_.bytes.begin() + static_cast<ptrdiff_t>(offset));
  touch(offset, data.size());
}

void World::zero(uint64_t offset, uint64_t length) {
  image_->zero(offset, length);
  std::fill_n(disk_.bytes.begin() + static_cast<ptrdiff_t>(offset), length, std::byte{0});
  touch(offset, length);
}

void World::random_change(Rng& rng, uint64_t generation) {
  const uint64_t offset = rng.below(size());
  const uint64_t length = std::min(size() - offset, rng.between(1, rng.one_in(4) ? 60000 : 5000));
  if (rng.one_in(5))
    zero(offset, length);
  else
    write(offset, pattern(offset, generation, length));
}

void World::resize(uint64_t size) {
  image_->resize(size);
  const uint64_t within = std::min(size, this->size());
  disk_.bytes.resize(size);
  ++version_;
  disk_.versions.resize((size + cluster_ - 1) / cluster_, version_);
  if (within < disk_.versions.size() * cluster_) disk_.versions.at(within / cluster_) = version_;
}

void World::create(const std::string& name) {
  image_->create_snapshot(name, 1);
  kept_[name] = disk_;
}

void World::remove(const std::string& name) {
  image_->delete_snapshot(name);
  kept_.erase(name);
}

void World::revert(const std::string& name) {
  image_->revert_to_snapshot(name);
  disk_ = kept_.at(name);
}

void World::expect_all() {
  CHECK(contents_of(*image_) == disk_.bytes);
  CHECK(damages(*image_) == "");
  image_->flush();
  for (const auto& one : kept_) {
    OpenOptions how = options(Access::read_only);
    how.snapshot = one.first;
    Image shown = Image::open(kPath, how);
    CHECK_MESSAGE(contents_of(shown) == one.second.bytes, "snapshot " << one.first);
  }
}

void World::expect_diff(Image& image, const std::string& from, const std::string& to) const {
  const State& before = kept_.at(from);
  const State& after = to.empty() ? disk_ : kept_.at(to);
  const uint64_t size = after.bytes.size();
  std::vector<bool> told(after.versions.size());
  Extent last;
  image.diff_snapshots(from, to, [&](const Extent& range) {
    CHECK(range.length != 0);
    CHECK(range.offset % cluster_ == 0);
    REQUIRE(range.offset + range.length <= size);
    CHECK((range.offset + range.length == size || (range.offset + range.length) % cluster_ == 0));
    if (last.length != 0)
      CHECK((range.offset > last.offset + last.length || (range.offset == last.offset + last.length && range.kind != last.kind)));
    last = range;
    const auto begin = after.bytes.begin() + static_cast<ptrdiff_t>(range.offset);
    if (range.kind != ExtentKind::data)
      CHECK(std::all_of(begin, begin + static_cast<ptrdiff_t>(range.length), [](std::byte b) { return b == std::byte{0}; }));
    for (uint64_t i = range.offset / cluster_; i * cluster_ < range.offset + range.length; ++i) told.at(i) = true;
  });
  for (uint64_t i = 0; i < told.size(); ++i) {
    const auto piece = [&](const Bytes& bytes) {
      Bytes part(cluster_);
      for (uint64_t at = i * cluster_; at < std::min<uint64_t>(bytes.size(), (i + 1) * cluster_); ++at) part[at - i * cluster_] = bytes[at];
      return part;
    };
    const bool differs = piece(before.bytes) != piece(after.bytes);
    const bool touched = i >= before.versions.size() || before.versions[i] != after.versions[i];
    CHECK_MESSAGE((told[i] ? touched : !differs), "cluster " << i << " from " << from << " to '" << to << "'");
  }
}

const std::vector<OptionMap>& world_options() {
  static const std::vector<OptionMap> all = {{{"cluster_size", "4K"}, {"journal_size", "128K"}},
                                             {{"cluster_size", "16K"}, {"compression", "zstd"}, {"journal_size", "64K"}},
                                             {{"cluster_size", "4K"}, {"compression", "zlib:1"}, {"journal_size", "0"}},
                                             {{"cluster_size", "64K"}, {"journal_size", "128K"}},
                                             {{"cluster_size", "4K"}, {"journal_size", "128K"}, {"encryption", "aes-256-gcm"}}};
  return all;
}

std::vector<std::byte> contents_of(Image& image) {
  std::vector<std::byte> all(image.size());
  image.read_at(0, all);
  return all;
}

}  // namespace varve::test
