#include "native/victim.h"

#include <algorithm>

#include "native/catalog.h"
#include "native/extents.h"
#include "native/tag.h"
#include "native/walk.h"
#include "support/pattern.h"

namespace varve::test {

using native::Pointer;

Victim::Victim(OptionMap options, bool child) {
  options.emplace("journal_size", "64K");
  CreateOptions how;
  how.options = {{"encryption", "aes-256-gcm"}};
  how.secret = test_key();
  how.file_system = files_.get();
  now_.disk.resize(kDisk);
  if (child) {
    constexpr uint64_t kParent = 192 * kKiB;
    Image parent = Image::create(kParentPath, "varve", kParent, how);
    const Bytes data = pattern(0, 1000000, kParent);
    parent.write_at(0, data);
    parent.close();
    std::copy(data.begin(), data.end(), now_.disk.begin());
    how.parent = kParentPath;
    how.parent_format = "varve";
    how.parent_secret = test_key();
  }
  how.options.merge(options);
  Image::create(kPath, "varve", kDisk, how).close();
}

OpenOptions Victim::with_key(OpenOptions how) const {
  how.format = "varve";
  if (!how.secret) how.secret = test_key();
  how.file_system = through != nullptr ? through : files_.get();
  return how;
}

void Victim::open() {
  OpenOptions how;
  how.access = Access::read_write;
  image_.emplace(Image::open(kPath, with_key(std::move(how))));
}

void Victim::close() {
  image_->close();
  image_.reset();
}

void Victim::cut() { image_.reset(); }

void Victim::write(uint64_t offset, uint64_t length) {
  const Bytes data = pattern(offset, ++patterns_, length);
  image_->write_at(offset, data);
  std::copy(data.begin(), data.end(), now_.disk.begin() + static_cast<ptrdiff_t>(offset));
}

void Victim::zero(uint64_t offset, uint64_t length) {
  image_->zero(offset, length);
  std::fill_n(now_.disk.begin() + static_cast<ptrdiff_t>(offset), length, std::byte{0});
}

void Victim::snapshot(const std::string& name) {
  image_->create_snapshot(name, 1);
  now_.snapshots[name] = now_.disk;
}

void Victim::attach(const std::string& name, uint64_t length) {
  const Bytes data = pattern(0, ++patterns_, length);
  size_t at = 0;
  image_->put_attachment({name}, 1, [&](MutableBytes out) {
    const size_t count = std::min(out.size(), data.size() - at);
    std::copy_n(data.begin() + static_cast<ptrdiff_t>(at), count, out.begin());
    at += count;
    return count;
  });
  now_.attachments[name] = data;
}

Outcome Victim::outcome(OpenOptions how) const {
  how = with_key(std::move(how));
  Outcome outcome;
  const auto all_of = [](Image& image) {
    Bytes all(image.size());
    image.read_at(0, all);
    return all;
  };
  try {
    Image image = Image::open(kPath, how);
    outcome.contents.disk = all_of(image);
    for (const AttachmentInfo& info : image.attachments()) {
      Bytes& bytes = outcome.contents.attachments[info.key.name];
      bytes.resize(info.size);
      image.read_attachment(info.key, 0, bytes);
    }
    for (const SnapshotInfo& snapshot : image.snapshots()) {
      how.snapshot = snapshot.name;
      Image shown = Image::open(kPath, how);
      outcome.contents.snapshots[snapshot.name] = all_of(shown);
    }
  } catch (const Error& error) {
    outcome.error = error.code();
    outcome.message = error.what();
  }
  return outcome;
}

Bytes Victim::part(uint64_t offset, uint64_t length) const {
  Bytes bytes(length);
  storage()->read_at(offset, bytes);
  return bytes;
}

std::vector<Pointer> extents_of(const std::shared_ptr<Storage>& file, native::Kind kind, const std::string& snapshot) {
  const Unlocked image = unlocked(*file);
  const native::Superblock& s = image.superblocks.current;
  native::Extents extents(file, image.headers.header, kMiB, kMiB, image.cipher);
  native::Object object = s.head;
  if (!snapshot.empty()) {
    const native::Catalog catalog =
        native::parse_catalog(native::read_object(extents, s.catalog, s.end), s.rules(image.headers.header), s.generation, s.head_parent);
    object = catalog.find(snapshot)->object;
  }
  std::vector<Pointer> found;
  native::walk(extents, object, 0, s.end, [&](const Pointer& p) {
    if (p.kind == kind) found.push_back(p);
  });
  return found;
}

std::vector<Interval> records_of(Storage& file, const native::Superblock& s) {
  std::vector<Interval> found;
  if (s.journal_length == 0) return found;
  const uint64_t half = s.journal_length / 2;
  const uint64_t begin = s.journal_offset + s.generation % 2 * half;
  for (uint64_t at = begin; at < begin + half;) {
    Bytes bytes(sizeof(native::JournalRecordRaw));
    file.read_at(at, bytes);
    const auto head = load<native::JournalRecordRaw>(bytes);
    if (head.magic != native::kJournalMagic || head.generation != s.generation) break;
    found.push_back({at, head.length});
    at += head.length;
  }
  return found;
}

void expect_refused(const Outcome& outcome) {
  REQUIRE_MESSAGE(outcome.error, "the attack was not seen");
  CHECK_MESSAGE((outcome.error == Errc::corrupt || outcome.error == Errc::authentication), outcome.message);
}

void expect_all(const Outcome& outcome, const Contents& expected) {
  REQUIRE_MESSAGE(!outcome.error, outcome.message);
  CHECK(outcome.contents == expected);
}

std::unique_ptr<Victim> make_victim(OptionMap options) {
  options.emplace("cluster_size", "4K");
  auto v = std::make_unique<Victim>(std::move(options));
  v->open();
  v->write(0, 64 * kKiB);
  v->write(128 * kKiB, 32 * kKiB);
  v->close();
  return v;
}

void rewrite(Victim& v) {
  v.open();
  v.write(0, 4 * kKiB);
  v.flush();
  v.write(0, 64 * kKiB);
  v.write(128 * kKiB, 32 * kKiB);
  v.close();
}

// ---- the clear parts ---------------------------------------------------------------------------------

void change_header(Storage& file, const std::function<void(native::HeaderRaw&)>& change, std::vector<size_t> copies) {
  for (const size_t copy : copies) {
    Bytes bytes(kBlock);
    file.read_at(native::kRegions.at(copy), bytes);
    auto raw = load<native::HeaderRaw>(bytes);
    change(raw);
    const ConstBytes changed = bytes_of(raw);
    bytes.assign(changed.begin(), changed.end());
    seal(bytes);
    file.write_at(native::kRegions.at(copy), bytes);
  }
}

std::unique_ptr<native::KeyAreaRaw> key_area_at(Storage& file, size_t copy) {
  auto area = std::make_unique<native::KeyAreaRaw>();
  file.read_at(native::key_area_offset(copy), std::as_writable_bytes(std::span(area.get(), 1)));
  return area;
}

void put_key_area(Storage& file, size_t copy, native::KeyAreaRaw area) {
  area.tag = {};
  area.tag = tag_bytes(bytes_of(area));
  file.write_at(native::key_area_offset(copy), bytes_of(area));
}

void change_key_area(Storage& file, const std::function<void(native::KeyAreaRaw&)>& change, std::vector<size_t> copies) {
  for (const size_t copy : copies) {
    const auto area = key_area_at(file, copy);
    change(*area);
    put_key_area(file, copy, *area);
  }
}

}  // namespace varve::test
