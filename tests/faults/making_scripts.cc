#include <algorithm>

#include "crash/history.h"
#include "faults/scripts.h"
#include "support/image_kit.h"
#include "support/secrets.h"
#include "support/shadow_disk.h"
#include "varve/image.h"
#include "varve/ops.h"

namespace varve::test {
namespace {

const std::vector<std::string>& subformats() {
  static const std::vector<std::string> all = {"monolithicSparse",   "monolithicFlat", "twoGbMaxExtentSparse",
                                               "twoGbMaxExtentFlat", "vmfs",           "streamOptimized"};
  return all;
}

std::string name_of(const OptionMap& options) {
  const auto found = options.find("subformat");
  return found == options.end() ? "raw" : found->second;
}

OptionMap vhdx_options(const std::string& subformat) { return {{"block_size", "1M"}, {"subformat", subformat}}; }

class Making final : public Attempt {
 public:
  using Make = std::function<void(Bench&)>;
  Making(Bench& bench, std::shared_ptr<const FileSet> files, const Product& product, Make make)
      : bench_(bench), files_(std::move(files)), product_(product), make_(std::move(make)) {}

  std::string verdict(const Circumstances& how) override { return judge_product(bench_, *files_, product_, how); }

 private:
  void run() override { make_(bench_); }

  Bench& bench_;
  const std::shared_ptr<const FileSet> files_;
  const Product& product_;
  const Make make_;
};

Script making(std::string name, std::shared_ptr<const FileSet> files, Product product, Making::Make make) {
  return {std::move(name), files, [files, product = std::make_shared<const Product>(std::move(product)), make](Bench& bench) {
            return std::make_unique<Making>(bench, files, *product, make);
          }};
}

// ---- create ------------------------------------------------------------------------------------------

CreateOptions creation(Bench& bench, const OptionMap& options) {
  CreateOptions how;
  how.options = options;
  how.secret = test_key();
  how.file_system = &bench.files();
  return how;
}

std::vector<std::byte> zeros(uint64_t size) { return std::vector<std::byte>(size); }

Script creating(const std::string& format, const OptionMap& options, uint64_t size = kDiskSize) {
  return making("create " + name_of(options), std::make_shared<FileSet>(), {"new", format, zeros(size), {}}, [=](Bench& bench) {
    Image image = Image::create(bench.path("new"), format, size, creation(bench, options));
    try {
      image.close();
    } catch (const Error&) {
      image.close();  // may only work if the image is what it has to be
    }
  });
}

Script creating_child(const Subject& base, const OptionMap& options) {
  return making("create a child, " + name_of(options), base.files, {"new", base.format, base.content, {}}, [=, &base](Bench& bench) {
    CreateOptions how = creation(bench, options);
    how.parent = base.image;
    Image image = Image::create(bench.path("new"), base.format, std::nullopt, how);
    image.close();
  });
}

/// Grown before it is closed: what a flush in the middle lost stays lost.
Script creating_and_growing(const std::string& format, const OptionMap& options, uint64_t size = kDiskSize) {
  return making("create and grow " + name_of(options), std::make_shared<FileSet>(), {"new", format, zeros(size), {}}, [=](Bench& bench) {
    Image image = Image::create(bench.path("new"), format, size / 3 / 512 * 512, creation(bench, options));
    try {
      image.resize(size);
    } catch (const Error&) {
      if (!bench.flush_failed()) throw;
    }
    image.close();
  });
}

/// As a program fills an image that it has just made, by writing here and there.
Script filling_new(const Subject& raw, const std::string& format, const OptionMap& options, uint64_t step) {
  const std::string name = "create and write " + name_of(options);
  return making(name, std::make_shared<FileSet>(), {"new", format, raw.content, {}}, [=, &raw](Bench& bench) {
    const uint64_t size = raw.content.size();
    Image image = Image::create(bench.path("new"), format, size, creation(bench, options));
    for (uint64_t at = 0; at < size; at += step) image.write_at(at, ConstBytes(raw.content).subspan(at, std::min(step, size - at)));
    image.flush();
    image.close();
  });
}

// ---- convert -----------------------------------------------------------------------------------------

Script converting(const Subject& source, const std::string& format, const OptionMap& options, unsigned threads = 1) {
  const std::string name = "convert " + source.name + " to " + name_of(options) + (threads > 1 ? " by threads" : "");
  return making(name, source.files, {"new", format, source.content, {}}, [=, &source](Bench& bench) {
    ConvertOptions how = conversion(bench, source.format, format, options);
    how.copy.threads = threads;
    convert(bench.path(source.image), bench.path("new"), how);
  });
}

/// Over an image of other contents, which is there in whole, or gone, but never mixed.
Script replacing(const Subject& old, const std::string& format, const OptionMap& options) {
  const auto files = std::make_shared<FileSet>(*old.files);
  const std::vector<std::byte> source(kDiskSize, std::byte{7});
  (*files)["source.raw"] = source;
  const Product product = {old.image, format, source, old.own};
  return making("convert over " + old.name + ", " + name_of(options), files, product, [=, &old](Bench& bench) {
    ConvertOptions how = conversion(bench, "raw", format, options);
    how.create.force = true;
    convert(bench.path("source.raw"), bench.path(old.image), how);
  });
}

/// Must be refused: whatever fails, the source is not its own target.
Script replacing_itself(const Subject& disk) {
  Script script = making("convert " + disk.name + " over itself", disk.files, {disk.image, "raw", {}, {}}, [&disk](Bench& bench) {
    ConvertOptions how = conversion(bench, disk.format, "raw", {});
    how.create.force = true;
    convert(bench.path(disk.image), bench.path(disk.image), how);
  });
  script.also = Errc::invalid_argument;
  return script;
}

/// `convert -n`: the target may hold anything old or new, but it is sound.
class Filling final : public Attempt {
 public:
  Filling(Bench& bench, std::shared_ptr<const FileSet> files, const std::vector<std::byte>& source, const Subject& target)
      : bench_(bench), files_(std::move(files)), source_(source), target_(target) {}

  std::string verdict(const Circumstances& how) override {
    if (std::string wrong = difference(*files_, bench_.contents(), target_.own); !wrong.empty() || !how.honest) return wrong;
    if (how.done) return judge_image(bench_.sound(), bench_.path(target_.image), target_.format, source_);
    OpenOptions open;
    open.format = target_.format;
    open.secret = test_key();
    open.accept_older_state = true;  // a superblock may be half written
    open.file_system = &bench_.sound();
    Image image = Image::open(bench_.path(target_.image), open);
    if (std::string found = damages_after(how, image); !found.empty()) return "check finds " + found;
    std::vector<std::byte> content(source_.size());
    image.read_at(0, content);
    ShadowDisk disk(content.size());
    disk.write(0, target_.content);
    History history(disk);
    disk.write(0, source_);
    history.maybe(1, 2, disk, 0, disk.size());
    history.maybe(1, 2, ShadowDisk(disk.size()), 0, disk.size());
    return history.verdict(2, content);
  }

 private:
  void run() override {
    ConvertOptions how = conversion(bench_, "raw", target_.format, {});
    how.into_existing = true;
    convert(bench_.path("source.raw"), bench_.path(target_.image), how);
  }

  Bench& bench_;
  const std::shared_ptr<const FileSet> files_;
  const std::vector<std::byte>& source_;
  const Subject& target_;
};

Script filling(const Subject& target) {
  const auto files = std::make_shared<FileSet>(*target.files);
  const auto source = std::make_shared<std::vector<std::byte>>(target.content.size(), std::byte{7});
  std::fill_n(source->begin(), 100000, std::byte{0});
  (*files)["source.raw"] = *source;
  return {"convert into " + target.name, files,
          [=, &target](Bench& bench) { return std::make_unique<Filling>(bench, files, *source, target); }};
}

}  // namespace

std::string judge_product(Bench& bench, const FileSet& before, const Product& product, const Circumstances& how) {
  const auto is_replaced = [&](const std::string& name) {
    return std::find(product.replaced.begin(), product.replaced.end(), name) != product.replaced.end();
  };
  FileSet now = bench.contents();
  for (const auto& [name, bytes] : before) {
    // What was replaced by the time of a failure does not come back.
    if (is_replaced(name) && (how.done || !now.contains(name))) now[name] = bytes;
  }
  if (how.done) {
    std::erase_if(now, [&](const auto& file) { return !before.contains(file.first); });
    if (std::string wrong = difference(before, now); !wrong.empty()) return wrong;
    if (bench.flush_failed()) return "it was published after a flush had failed";
    return how.honest ? judge_image(bench.sound(), bench.path(product.name), product.format, product.content) : std::string();
  }
  if (!how.lasting || bench.can_always_remove()) return difference(before, now);
  // Who could not remove anything has left parts, but under its own name only what is whole.
  std::erase_if(now, [&](const auto& file) { return file.first != product.name && !before.contains(file.first); });
  std::string wrong = difference(before, now);
  if (wrong.empty() || now[product.name].empty()) return wrong;
  return judge_image(bench.sound(), bench.path(product.name), product.format, product.content);
}

std::string judge_image(FileSystem& files, const std::string& path, const std::string& format, const std::vector<std::byte>& content) {
  OpenOptions how;
  how.format = format;
  how.secret = test_key();
  how.file_system = &files;
  Image image = Image::open(path, how);
  if (std::string found = damages(image); !found.empty()) return "check finds " + found;
  ShadowDisk model(content.size());
  model.write(0, content);
  return model.difference(image);
}

ConvertOptions conversion(Bench& bench, const std::string& from, const std::string& to, const OptionMap& options) {
  ConvertOptions how;
  how.source_format = from;
  how.target_format = to;
  how.open.secret = test_key();
  how.open.file_system = &bench.files();
  how.create.secret = test_key();
  how.create.file_system = &bench.files();
  how.create.options = options;
  how.copy.threads = 1;
  return how;
}

namespace {

std::vector<Script> making_vhdx_scripts() {
  const Subject& raw = wide_raw_disk();
  std::vector<Script> all = {creating_and_growing("vhdx", vhdx_options("dynamic"), 3 * raw.content.size()),
                             creating_child(vhdx_disk("dynamic"), {{"block_size", "1M"}})};
  for (const char* subformat : {"dynamic", "fixed"}) {
    const OptionMap options = vhdx_options(subformat);
    all.push_back(creating("vhdx", options, raw.content.size()));
    all.push_back(filling_new(raw, "vhdx", options, 320 * 1024));
    all.push_back(converting(raw, "vhdx", options));
    all.push_back(converting(vhdx_disk(subformat), "raw", {}));
  }
  all.push_back(converting(vmdk_disk("monolithicSparse"), "vhdx", vhdx_options("dynamic"), 3));
  return all;
}

const OptionMap kSmallJournal = {{"journal_size", "64K"}, {"cluster_size", "16K"}};

std::vector<Script> making_native_scripts() {
  OptionMap packed = kSmallJournal;
  packed["compression"] = "zstd:1";
  return {creating_and_growing("varve", kSmallJournal),
          creating_child(native_disks().front(), kSmallJournal),
          creating("varve", packed),
          filling_new(raw_disk(), "varve", packed, 48 * 1024),
          converting(raw_disk(), "varve", kSmallJournal),
          converting(vmdk_disk("monolithicSparse"), "varve", packed, 3)};
}

}  // namespace

std::vector<Script> making_scripts() {
  std::vector<Script> all = {creating("raw", {}), converting(vmdk_disk("monolithicSparse"), "raw", {})};
  for (const std::string& subformat : subformats()) {
    const OptionMap options = {{"subformat", subformat}};
    all.push_back(creating("vmdk", options));
    all.push_back(converting(raw_disk(), "vmdk", options));
    if (subformat != "streamOptimized") all.push_back(filling_new(raw_disk(), "vmdk", options, 48 * 1024));
  }
  all.push_back(creating_and_growing("vmdk", {{"subformat", "monolithicFlat"}}));
  for (const char* subformat : {"monolithicSparse", "twoGbMaxExtentSparse"})
    all.push_back(creating_child(vmdk_disk("monolithicSparse"), {{"subformat", subformat}}));
  const OptionMap stream = {{"subformat", "streamOptimized"}};
  for (const Subject& source : writable_disks())
    if (source.window == 0 && source.format != "raw") all.push_back(converting(source, "vmdk", stream));
  for (const Subject& source : foreign_disks()) all.push_back(converting(source, "vmdk", {{"subformat", "monolithicSparse"}}));
  all.push_back(converting(vmdk_disk("monolithicSparse"), "vmdk", stream, 3));
  const std::vector<Script> vhdx = making_vhdx_scripts();
  all.insert(all.end(), vhdx.begin(), vhdx.end());
  const std::vector<Script> native = making_native_scripts();
  all.insert(all.end(), native.begin(), native.end());
  return all;
}

std::vector<Script> replacing_scripts() {
  std::vector<Script> all = {replacing(raw_disk(), "raw", {}), replacing_itself(raw_disk()),
                             replacing_itself(vmdk_disk("twoGbMaxExtentSparse"))};
  for (const std::string& subformat : subformats()) all.push_back(replacing(vmdk_disk(subformat), "vmdk", {{"subformat", subformat}}));
  for (const Subject& target : writable_disks())
    if (target.window == 0) all.push_back(filling(target));
  all.push_back(replacing(vhdx_disk("dynamic"), "vhdx", vhdx_options("dynamic")));
  all.push_back(filling(vhdx_disk("dynamic")));
  all.push_back(replacing(native_disks().front(), "varve", kSmallJournal));
  return all;
}

}  // namespace varve::test
