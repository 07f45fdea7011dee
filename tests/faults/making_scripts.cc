#include <algorithm>

#include "crash/history.h"
#include "faults/scripts.h"
#include "support/image_kit.h"
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

std::string name_of(const OptionMap& options) { return options.empty() ? "raw" : options.begin()->second; }

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
  how.file_system = &bench.files();
  return how;
}

std::vector<std::byte> zeros() { return std::vector<std::byte>(kDiskSize); }

Script creating(const std::string& format, const OptionMap& options) {
  return making("create " + name_of(options), std::make_shared<FileSet>(), {"new", format, zeros(), {}}, [=](Bench& bench) {
    Image image = Image::create(bench.path("new"), format, kDiskSize, creation(bench, options));
    try {
      image.close();
    } catch (const Error&) {
      image.close();  // may only work if the image is what it has to be
    }
  });
}

Script creating_child(const OptionMap& options) {
  const Subject& base = vmdk_disk("monolithicSparse");
  return making("create a child, " + name_of(options), base.files, {"new", "vmdk", base.content, {}}, [=](Bench& bench) {
    CreateOptions how = creation(bench, options);
    how.parent = "disk.vmdk";
    Image image = Image::create(bench.path("new"), "vmdk", std::nullopt, how);
    image.close();
  });
}

/// Grown before it is closed: what a flush in the middle lost stays lost.
Script creating_and_growing(const std::string& format, const OptionMap& options) {
  return making("create and grow " + name_of(options), std::make_shared<FileSet>(), {"new", format, zeros(), {}}, [=](Bench& bench) {
    Image image = Image::create(bench.path("new"), format, kDiskSize / 3, creation(bench, options));
    try {
      image.resize(kDiskSize);
    } catch (const Error&) {
      if (!bench.flush_failed()) throw;
    }
    image.close();
  });
}

/// As a program fills an image that it has just made, by writing here and there.
Script filling_new(const OptionMap& options) {
  return making("create and write " + name_of(options), std::make_shared<FileSet>(), {"new", "vmdk", disk_content(), {}},
                [=](Bench& bench) {
                  Image image = Image::create(bench.path("new"), "vmdk", kDiskSize, creation(bench, options));
                  for (uint64_t at = 0; at < kDiskSize; at += 48 * 1024)
                    image.write_at(at, ConstBytes(disk_content()).subspan(at, std::min<uint64_t>(48 * 1024, kDiskSize - at)));
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
  (*files)["source.raw"] = std::vector<std::byte>(kDiskSize, std::byte{7});
  const Product product = {old.image, format, files->at("source.raw"), old.own};
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
  Filling(Bench& bench, std::shared_ptr<const FileSet> files, const Subject& target)
      : bench_(bench), files_(std::move(files)), target_(target) {}

  std::string verdict(const Circumstances& how) override {
    if (std::string wrong = difference(*files_, bench_.contents(), target_.own); !wrong.empty() || !how.honest) return wrong;
    if (how.done) return judge_image(bench_.sound(), bench_.path(target_.image), target_.format, source());
    OpenOptions open;
    open.format = target_.format;
    open.file_system = &bench_.sound();
    Image image = Image::open(bench_.path(target_.image), open);
    if (std::string found = damages(image); !found.empty()) return "check finds " + found;
    std::vector<std::byte> content(kDiskSize);
    image.read_at(0, content);
    ShadowDisk disk(kDiskSize);
    disk.write(0, target_.content);
    History history(disk);
    disk.write(0, source());
    history.maybe(1, 2, disk, 0, kDiskSize);
    history.maybe(1, 2, ShadowDisk(kDiskSize), 0, kDiskSize);
    return history.verdict(2, content);
  }

 private:
  const std::vector<std::byte>& source() const { return files_->at("source.raw"); }
  void run() override {
    ConvertOptions how = conversion(bench_, "raw", target_.format, {});
    how.into_existing = true;
    convert(bench_.path("source.raw"), bench_.path(target_.image), how);
  }

  Bench& bench_;
  const std::shared_ptr<const FileSet> files_;
  const Subject& target_;
};

Script filling(const Subject& target) {
  const auto files = std::make_shared<FileSet>(*target.files);
  std::vector<std::byte> source(kDiskSize, std::byte{7});
  std::fill_n(source.begin(), 100000, std::byte{0});
  (*files)["source.raw"] = std::move(source);
  return {"convert into " + target.name, files, [=, &target](Bench& bench) { return std::make_unique<Filling>(bench, files, target); }};
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
  how.open.file_system = &bench.files();
  how.create.file_system = &bench.files();
  how.create.options = options;
  how.copy.threads = 1;
  return how;
}

std::vector<Script> making_scripts() {
  std::vector<Script> all = {creating("raw", {}), converting(vmdk_disk("monolithicSparse"), "raw", {})};
  for (const std::string& subformat : subformats()) {
    const OptionMap options = {{"subformat", subformat}};
    all.push_back(creating("vmdk", options));
    all.push_back(converting(raw_disk(), "vmdk", options));
    if (subformat != "streamOptimized") all.push_back(filling_new(options));
  }
  all.push_back(creating_and_growing("vmdk", {{"subformat", "monolithicFlat"}}));
  for (const char* subformat : {"monolithicSparse", "twoGbMaxExtentSparse"}) all.push_back(creating_child({{"subformat", subformat}}));
  const OptionMap stream = {{"subformat", "streamOptimized"}};
  for (const Subject& source : writable_disks())
    if (source.window == 0 && source.format != "raw") all.push_back(converting(source, "vmdk", stream));
  for (const Subject& source : foreign_disks()) all.push_back(converting(source, "vmdk", {{"subformat", "monolithicSparse"}}));
  all.push_back(converting(vmdk_disk("monolithicSparse"), "vmdk", stream, 3));
  return all;
}

std::vector<Script> replacing_scripts() {
  std::vector<Script> all = {replacing(raw_disk(), "raw", {}), replacing_itself(raw_disk()),
                             replacing_itself(vmdk_disk("twoGbMaxExtentSparse"))};
  for (const std::string& subformat : subformats()) all.push_back(replacing(vmdk_disk(subformat), "vmdk", {{"subformat", subformat}}));
  for (const Subject& target : writable_disks())
    if (target.window == 0) all.push_back(filling(target));
  return all;
}

}  // namespace varve::test
