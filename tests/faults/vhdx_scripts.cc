// A VHDX that grows until its table has to move: what no session of a small disk reaches.
#include "faults/scripts.h"
#include "support/image_kit.h"
#include "varve/image.h"

namespace varve::test {
namespace {

class MovingTable final : public Attempt {
 public:
  static constexpr uint64_t kGrown = uint64_t{300} << 30;  // the table of 2 MiB knows 256 GiB

  MovingTable(Bench& bench, const Subject& subject) : bench_(bench), subject_(subject), size_(subject.content.size()) {}

  std::string verdict(const Circumstances& how) override {
    if (std::string wrong = difference(*subject_.files, bench_.contents(), subject_.own); !wrong.empty() || !how.honest) return wrong;
    Image image = open(bench_.sound(), Access::read_only);
    const bool right = image.size() == size_ || (!closed_ && (image.size() == kGrown || image.size() == subject_.content.size()));
    if (!right) return "the disk has " + std::to_string(image.size()) + " bytes, and the handle said " + std::to_string(size_);
    if (std::string found = damages(image, false); !found.empty()) return "check finds " + found;
    std::vector<std::byte> content(subject_.content.size());
    image.read_at(0, content);
    return content == subject_.content ? std::string() : "the contents have changed";
  }

 private:
  Image open(FileSystem& files, Access access) const {
    OpenOptions how;
    how.access = access;
    how.format = subject_.format;
    how.file_system = &files;
    return Image::open(bench_.path(subject_.image), how);
  }
  void run() override {
    Image image = open(bench_.files(), Access::read_write);
    try_to([&] { image.resize(kGrown); });
    size_ = image.size();
    // Whether or not that worked, the handle and the file agree from now on.
    try_to([&] { image.write_at(0, ConstBytes(subject_.content).first(4096)); });
    closed_ = try_to([&] { image.close(); });
  }

  Bench& bench_;
  const Subject& subject_;
  uint64_t size_;  ///< as the handle said last
  bool closed_ = false;
};

}  // namespace

std::vector<Script> moving_scripts() {
  const Subject& disk = vhdx_disk("dynamic");
  Script script = {disk.name + ": grow beyond the table", disk.files,
                   [&disk](Bench& bench) { return std::make_unique<MovingTable>(bench, disk); }};
  script.one_in = 11;  // most of its calls look at pages of the old table
  return {script};
}

}  // namespace varve::test
