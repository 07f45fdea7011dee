// The host fails: every call of every script once, and from that call on for ever. The error reaches the caller, the image is never
// damaged, its contents are what was promised or what was written since, and what was not finished is not published.
#include <array>
#include <cstdio>

#include "crash/history.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/storages.h"
#include "support/test.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;
constexpr uint64_t kSize = 1024 * kKiB + 3 * 512;

struct Fault {
  std::string name;
  FaultKind kind;
  bool sticky;
  Hit hit;
};

const std::array<Fault, 6>& faults() {
  static const std::array<Fault, 6> all = {{{"an I/O error", FaultKind::io, false, Hit::any},
                                            {"I/O errors from then on", FaultKind::io, true, Hit::any},
                                            {"no space", FaultKind::no_space, false, Hit::write},
                                            {"no space from then on", FaultKind::no_space, true, Hit::write},
                                            {"a flush error", FaultKind::io, false, Hit::flush},
                                            {"flush errors from then on", FaultKind::io, true, Hit::flush}}};
  return all;
}

bool may_come_of_a_fault(Errc code) { return code == Errc::io || code == Errc::no_space; }

/// Runs a script whose every step may fail, and keeps account of what the disk may hold afterwards.
class FaultyRun {
 public:
  FaultyRun(TestDisk& disk, History& history) : disk_(disk), history_(history) {}

  void run() {
    if (!attempt([&] { image_ = std::make_unique<Image>(disk_.open()); })) return;
    for (uint64_t i = 0; i < 4; ++i) write(i * 200 * kKiB, 6 * kKiB, i + 1);
    flush();
    write(100 * kKiB, 140 * kKiB, 10);
    zero(64 * kKiB, 128 * kKiB);
    read(0, 300 * kKiB);
    discard(256 * kKiB, 128 * kKiB);
    flush();
    write(kSize - 2048, 2048, 11);
    attempt([&] { damages(*image_); });
    if (attempt([&] { image_->close(); })) history_.flushed(now_, now_ + 1);
    image_.reset();
  }
  size_t position() const { return now_ + 1; }

 private:
  bool attempt(const std::function<void()>& call) {
    try {
      call();
      return true;
    } catch (const Error& error) {
      CHECK_MESSAGE(may_come_of_a_fault(error.code()), error.what());
      return false;
    }
  }
  void account(bool done, uint64_t offset, uint64_t length) {
    if (done) {
      history_.wrote(now_, now_ + 1, disk_.model(), offset, length);
    } else {
      history_.maybe(now_, now_ + 1, disk_.model(), offset, length);
    }
    ++now_;
  }
  void write(uint64_t offset, uint64_t length, uint64_t generation) {
    const auto data = pattern(offset, generation, static_cast<size_t>(length));
    const bool done = attempt([&] { image_->write_at(offset, data); });
    disk_.model().write(offset, data);
    account(done, offset, length);
  }
  void zero(uint64_t offset, uint64_t length) {
    const bool done = attempt([&] { image_->zero(offset, length); });
    disk_.model().zero(offset, length);
    account(done, offset, length);
  }
  void discard(uint64_t offset, uint64_t length) {
    attempt([&] { image_->discard(offset, length); });
    history_.maybe(now_, now_ + 1, ShadowDisk(disk_.model().size()), offset, length);
    ++now_;
  }
  void flush() {
    if (attempt([&] { image_->flush(); })) history_.flushed(now_, now_ + 1);
    ++now_;
  }
  void read(uint64_t offset, uint64_t length) {
    std::vector<std::byte> out(static_cast<size_t>(length));
    attempt([&] { image_->read_at(offset, out); });
  }

  TestDisk& disk_;
  History& history_;
  std::unique_ptr<Image> image_;
  size_t now_ = 1;
};

/// One script under one fault. False if the script ended before the fault came.
bool strike(const ImageConfig& config, const Fault& fault, uint64_t at) {
  TestDisk disk(config);
  History history(disk.model());
  const auto plan = std::make_shared<FaultPlan>(at, fault.kind, fault.sticky, fault.hit);
  FaultyFileSystem faulty(disk.files(), plan);
  disk.through = &faulty;
  FaultyRun run(disk, history);
  run.run();
  disk.through = nullptr;
  Image image = disk.open(Access::read_only);
  std::vector<std::byte> content(static_cast<size_t>(image.size()));
  image.read_at(0, content);
  CHECK(history.verdict(run.position(), content) == "");
  CHECK(damages(image) == "");
  return plan->struck();
}

ImageConfig vmdk(const std::string& subformat, OptionMap options = {}, std::optional<uint64_t> parent = std::nullopt) {
  const std::string name = subformat + (parent ? " delta" : "") + (options.empty() ? "" : ", zeroed 4 KiB grains");
  options.emplace("subformat", subformat);
  return ImageConfig{name, "vmdk", options, kSize, parent};
}

std::vector<ImageConfig> configs() {
  const OptionMap zeroed = {{"zeroed_grain", "on"}, {"grain_size", "4K"}};
  return {{"raw", "raw", {}, kSize, std::nullopt},
          vmdk("monolithicSparse"),
          vmdk("monolithicSparse", zeroed),
          vmdk("monolithicSparse", {}, kSize),
          vmdk("monolithicSparse", zeroed, kSize),
          vmdk("twoGbMaxExtentSparse"),
          vmdk("monolithicFlat"),
          vmdk("twoGbMaxExtentFlat"),
          vmdk("vmfs")};
}

uint64_t strike_everywhere(const ImageConfig& config, const Fault& fault) {
  const uint64_t step = scaled(8) < 8 ? 8 : 1;
  uint64_t injected = 0;
  for (uint64_t at = 0; at < 100000; at += step, ++injected) {
    INFO(config.name << ": " << fault.name << " at call " << at);
    try {
      if (!strike(config, fault, at)) break;
    } catch (const Error& error) {
      FAIL_CHECK(error.what());
    }
  }
  return injected;
}

TEST_CASE("every call to the host fails once and for ever: the error is reported and the image stays sound, in every subformat") {
  uint64_t injected = 0;
  for (const ImageConfig& config : configs())
    for (const Fault& fault : faults()) injected += strike_everywhere(config, fault);
  std::printf("faults in place: %llu\n", static_cast<unsigned long long>(injected));
  CHECK(injected >= (scaled(8) < 8 ? 150 : 1000));
}

// ---- what is not finished is not published ------------------------------------------------------------

struct Making {
  std::string name;
  std::function<void(FileSystem& through)> run;
};

void convert_to(FileSystem& through, const std::string& format, const OptionMap& options) {
  ConvertOptions how;
  how.source_format = "raw";
  how.target_format = format;
  how.open.file_system = &through;
  how.create.file_system = &through;
  how.create.options = options;
  how.copy.threads = 2;
  convert("dir/source.raw", "dir/new", how);
}

std::vector<Making> makings() {
  std::vector<Making> all;
  for (const std::string subformat :
       {"monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "vmfs", "streamOptimized"}) {
    const OptionMap options = {{"subformat", subformat}};
    if (subformat != "streamOptimized")
      all.push_back({"create " + subformat, [options](FileSystem& through) { create_image(through, "dir/new", "vmdk", kSize, options); }});
    all.push_back({"convert to " + subformat, [options](FileSystem& through) { convert_to(through, "vmdk", options); }});
  }
  all.push_back({"convert to raw", [](FileSystem& through) { convert_to(through, "raw", {}); }});
  return all;
}

/// False if the work ended before the fault came.
bool strike_making(const Making& making, const Fault& fault, uint64_t at, ConstBytes source) {
  MemoryFileSystem files;
  files.add("dir/source.raw", source);
  const auto plan = std::make_shared<FaultPlan>(at, fault.kind, fault.sticky, fault.hit);
  FaultyFileSystem faulty(files, plan);
  bool done = false;
  try {
    making.run(faulty);
    done = true;
  } catch (const Error& error) {
    CHECK_MESSAGE(may_come_of_a_fault(error.code()), error.what());
  }
  const auto now = files.find("dir/source.raw")->contents();
  CHECK(std::equal(now.begin(), now.end(), source.begin(), source.end()));
  if (!done) CHECK(files.paths() == std::vector<std::string>{"dir/source.raw"});
  if (!plan->struck()) CHECK(done);
  return plan->struck();
}

TEST_CASE("a create or convert that fails at any call leaves no file and its source as it was") {
  std::vector<std::byte> source = pattern(0, 4, kSize);
  std::fill_n(source.begin() + 300000, 200000, std::byte{0});
  uint64_t injected = 0;
  for (const Making& making : makings()) {
    for (const Fault& fault : faults()) {
      for (uint64_t at = 0; at < 100000; ++at, ++injected) {
        INFO(making.name << ": " << fault.name << " at call " << at);
        if (!strike_making(making, fault, at, source)) break;
      }
    }
  }
  std::printf("faults while making: %llu\n", static_cast<unsigned long long>(injected));
  CHECK(injected >= 500);
}

TEST_CASE("MEM-5: an open, check or read that fails at any call throws the host's error and leaves nothing behind") {
  for (const ImageConfig& config : writable_configs()) {
    TestDisk disk(config);
    const auto before = disk.snapshot();
    for (uint64_t at = 0; at < 10000; ++at) {
      INFO(config.name << ", call " << at);
      const auto plan = std::make_shared<FaultPlan>(at, FaultKind::io);
      FaultyFileSystem faulty(disk.files(), plan);
      disk.through = &faulty;
      try {
        Image image = disk.open(Access::read_only);
        image.info();
        damages(image);
        std::vector<std::byte> content(static_cast<size_t>(image.size()));
        image.read_at(0, content);
      } catch (const Error& error) {
        CHECK_MESSAGE(error.code() == Errc::io, error.what());
      }
      if (!plan->struck()) break;
    }
    CHECK(disk.snapshot() == before);
  }
}

}  // namespace
}  // namespace varve::test
