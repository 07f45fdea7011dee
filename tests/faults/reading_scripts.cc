#include <algorithm>

#include "faults/scripts.h"
#include "support/secrets.h"
#include "varve/image.h"
#include "varve/ops.h"

namespace varve::test {
namespace {

Image open_image(Bench& bench, const Subject& subject, bool probe = false) {
  OpenOptions how;
  how.format = probe ? "" : subject.format;
  how.secret = test_key();
  how.file_system = &bench.files();
  return Image::open(bench.path(subject.image), how);
}

class Reading final : public Attempt {
 public:
  /// False if what it saw is not so.
  using Look = std::function<bool(Bench&)>;
  Reading(Bench& bench, std::shared_ptr<const FileSet> files, Look look)
      : bench_(bench), files_(std::move(files)), look_(std::move(look)) {}

  std::string verdict(const Circumstances& how) override {
    if (how.done && how.honest && !right_) return "what it saw is not so";
    return difference(*files_, bench_.contents());
  }

 private:
  void run() override { right_ = look_(bench_); }

  Bench& bench_;
  const std::shared_ptr<const FileSet> files_;
  const Look look_;
  bool right_ = false;
};

/// A check may call damaged what it could not read, but never sound.
class Checking final : public Attempt {
 public:
  Checking(Bench& bench, const Subject& subject) : bench_(bench), subject_(subject) {}

  std::string verdict(const Circumstances& how) override {
    if (how.done && how.lasting && sound_) return "check calls the image sound, and it could not read it";
    return difference(*subject_.files, bench_.contents());
  }

 private:
  void run() override {
    Image image = open_image(bench_, subject_);
    CheckOptions how;
    how.data = true;
    sound_ = image.check(how).damages == 0;
  }

  Bench& bench_;
  const Subject& subject_;
  bool sound_ = false;
};

bool informs(Bench& bench, const Subject& subject) {
  const Image image = open_image(bench, subject);
  const ImageInfo info = image.info();
  return info.virtual_size == subject.window + subject.content.size() && info.format == subject.format &&
         image.chain().front().files.size() == subject.own.size();
}

bool maps(Bench& bench, const Subject& subject) {
  Image image = open_image(bench, subject);
  uint64_t end = 0;
  bool right = true;
  map(image, [&](const Extent& run) {
    right = right && run.offset == end;
    end = run.offset + run.length;
    right = right && end <= subject.window + subject.content.size();
    if (!right) return;
    // What is not data reads as zeros, or as a parent that map() has asked.
    if (run.kind == ExtentKind::data || end <= subject.window) return;
    const uint64_t from = std::max(run.offset, subject.window) - subject.window;
    const auto part = ConstBytes(subject.content).subspan(from, end - subject.window - from);
    right = right && std::all_of(part.begin(), part.end(), [](std::byte b) { return b == std::byte{0}; });
  });
  return right && end == image.size();
}

bool reads(Bench& bench, const Subject& subject) {
  constexpr size_t kPiece = 70000;
  Image image = open_image(bench, subject);
  std::vector<std::byte> got(kPiece);
  bool right = true;
  for (size_t at = 0; at < subject.content.size(); at += kPiece) {
    const size_t length = std::min(kPiece, subject.content.size() - at);
    image.read_at(subject.window + at, MutableBytes(got).first(length));
    right = right &&
            std::equal(got.begin(), got.begin() + static_cast<ptrdiff_t>(length), subject.content.begin() + static_cast<ptrdiff_t>(at));
  }
  return right;
}

bool probes(Bench& bench, const Subject& subject) {
  const Image image = open_image(bench, subject, true);
  return image.format().name == subject.format;
}

Script reading(const Subject& subject, const std::string& what, bool (*look)(Bench&, const Subject&)) {
  return {subject.name + ": " + what, subject.files, [&subject, look](Bench& bench) {
            return std::make_unique<Reading>(bench, subject.files, [&subject, look](Bench& b) { return look(b, subject); });
          }};
}

Script comparing(const Subject& a, const Subject& b) {
  const auto files = std::make_shared<FileSet>(*a.files);
  files->insert(b.files->begin(), b.files->end());
  const Reading::Look look = [&a, &b](Bench& bench) {
    Image one = open_image(bench, a);
    Image other = open_image(bench, b);
    CompareOptions how;
    how.threads = 1;
    return compare(one, other, how).same;
  };
  return {a.name + ": compare with " + b.name, files,
          [files, look](Bench& bench) { return std::make_unique<Reading>(bench, files, look); }};
}

}  // namespace

std::vector<Script> reading_scripts(const Subject& subject) {
  std::vector<Script> all = {reading(subject, "info", informs), reading(subject, "map", maps), reading(subject, "read", reads)};
  if (subject.format != "raw") {
    all.push_back(
        {subject.name + ": check", subject.files, [&subject](Bench& bench) { return std::make_unique<Checking>(bench, subject); }});
  }
  return all;
}

std::vector<Script> reading_scripts() {
  std::vector<Script> all;
  const auto add = [&all](const std::vector<Script>& more) { all.insert(all.end(), more.begin(), more.end()); };
  for (const Subject& subject : writable_disks()) add(reading_scripts(subject));
  for (const Subject& subject : foreign_disks()) add(reading_scripts(subject));
  add(reading_scripts(vmdk_disk("streamOptimized")));
  for (const char* subformat : {"monolithicSparse", "monolithicFlat", "streamOptimized"}) {
    all.push_back(reading(vmdk_disk(subformat), "probe", probes));
    all.push_back(comparing(raw_disk(), vmdk_disk(subformat)));
  }
  all.push_back(reading(vhdx_disk("dynamic"), "probe", probes));
  all.push_back(comparing(wide_raw_disk(), vhdx_disk("dynamic")));
  return all;
}

}  // namespace varve::test
