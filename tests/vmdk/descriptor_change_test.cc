// Changing a descriptor in place: every state that a power cut leaves is a whole text.
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "io/memory_storage.h"
#include "support/storages.h"
#include "support/test.h"
#include "vmdk/descriptor_store.h"
#include "vmdk/images.h"
#include "vmdk/structures.h"

namespace varve::vmdk {
namespace {

using test::bytes_of_text;
using test::EventLog;
using test::StorageEvent;

const std::string kHead =
    "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"custom\"\n\n# Extent description\n";
const std::string kDatabase =
    "\n# The Disk Data Base\n#DDB\n\nddb.adapterType = \"lsilogic\"\nddb.geometry.cylinders = \"998\"\nddb.geometry.heads = \"255\"\n"
    "ddb.geometry.sectors = \"63\"\nddb.longContentID = \"0123456789abcdef0123456712345678\"\n";

std::string extent(uint64_t sectors, const std::string& name) { return "RW " + std::to_string(sectors) + " SPARSE \"" + name + "\"\n"; }

/// A key of `size` bytes at the end.
std::string filler(size_t size) { return "ddb.comment = \"" + std::string(size - 17, 'x') + "\"\n"; }

/// A descriptor on a medium that remembers what it was told.
class Medium {
 public:
  /// `area` as DescriptorStore has it.
  Medium(const std::string& text, uint64_t area) : area_(area), file_(std::make_shared<MemoryStorage>("a.vmdk", bytes_of_text(text))) {
    if (area_ != 0) file_->resize(area_);
    before_ = this->text();
    recorded_ = std::make_shared<test::RecordingStorage>(file_, log_);
  }

  void change(uint64_t sectors, const std::string& cylinders = "998", uint32_t cid = 0x12345678) {
    DescriptorStore store(recorded_, 0, area_, Descriptor::parse(bytes_of_text(before_), {}));
    Descriptor changed = store.descriptor();
    ExtentLine line = changed.extents().back();
    line.sectors = sectors;
    changed.set_extent(changed.extents().size() - 1, line);
    changed.set("ddb.geometry.cylinders", cylinders);
    changed.set_cid(cid);
    store.replace(std::move(changed));
  }

  std::string text() const {
    const auto bytes = file_->contents();
    const std::string all(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return all.substr(0, all.find('\0'));
  }
  const std::string& before() const { return before_; }
  bool untouched() const { return log_->events().empty(); }

  /// Each write lies in one sector, or behind what was there, and is durable before the next; after each of them the text
  /// has the lines of before or of now. Returns how many there were.
  size_t check_states() const {
    MemoryStorage replayed("replayed", bytes_of_text(before_));
    if (area_ != 0) replayed.resize(area_);
    const Descriptor old = Descriptor::parse(bytes_of_text(before_), {});
    const Descriptor now = Descriptor::parse(bytes_of_text(text()), {});
    const auto events = log_->events();
    size_t writes = 0;
    for (size_t i = 0; i < events.size(); ++i) {
      if (events[i].kind == StorageEvent::Kind::flush) continue;
      REQUIRE(events[i].kind == StorageEvent::Kind::write);
      REQUIRE(i + 1 < events.size());
      CHECK(events[i + 1].kind == StorageEvent::Kind::flush);
      const bool behind = events[i].offset >= before_.size();
      CHECK((behind || events[i].offset / kSectorSize == (events[i].offset + events[i].length - 1) / kSectorSize));
      replay(events[i], replayed);
      ++writes;
      check_lines(Descriptor::parse(replayed.contents(), {}), old, now);
    }
    return writes;
  }

 private:
  static void check_lines(const Descriptor& is, const Descriptor& old, const Descriptor& now) {
    const uint64_t sectors = is.extents().back().sectors;
    CHECK((sectors == old.extents().back().sectors || sectors == now.extents().back().sectors));
    CHECK(is.extents().size() == old.extents().size());
    for (const auto& entry : is.entries()) {  // no structured binding: clang 14's lambdas, so CAPTURE, can't take one
      CAPTURE(entry.first);
      CHECK((old.get(entry.first) == entry.second || now.get(entry.first) == entry.second));
    }
    CHECK(is.entries().size() == old.entries().size());
  }

  const uint64_t area_;
  const std::shared_ptr<MemoryStorage> file_;
  const std::shared_ptr<EventLog> log_ = std::make_shared<EventLog>();
  std::shared_ptr<Storage> recorded_;
  std::string before_;
};

/// The same text but for what was asked, blank lines left out.
std::string without_blank_lines(std::string text) {
  for (size_t at = 0; (at = text.find("\n\n")) != std::string::npos;) text.erase(at, 1);
  return text;
}

TEST_CASE("a digit more takes a blank line behind, one in front where there is none, and a digit less gives one back") {
  const std::string text = kHead + extent(999, "a.vmdk") + kDatabase + filler(300);
  for (const uint64_t area : {uint64_t{0}, uint64_t{10240}}) {
    CAPTURE(area);
    Medium grown(text, area);
    grown.change(1000, "1000");
    CHECK(grown.check_states() == 1);
    CHECK(grown.text() == kHead + extent(1000, "a.vmdk") +
                              "# The Disk Data Base\n#DDB\nddb.adapterType = \"lsilogic\"\nddb.geometry.cylinders = \"1000\"\n" +
                              kDatabase.substr(kDatabase.find("ddb.geometry.heads")) + filler(300));
    Medium shrunk(grown.text(), area);
    shrunk.change(99, "10");
    CHECK(shrunk.text().size() == text.size());
    Medium back(text, area);
    back.change(99);
    CHECK(back.check_states() == 1);
    CHECK(back.text() == kHead + extent(99, "a.vmdk") + "\n" + kDatabase + filler(300));
  }
}

TEST_CASE("what needs no more room than a sector has changes there, whatever moves") {
  const std::string text = without_blank_lines(kHead + extent(9, "a.vmdk") + kDatabase);
  Medium embedded(text, 10240);
  embedded.change(123456789, "65535");
  CHECK(embedded.check_states() == 1);
  Medium file(text, 0);
  file.change(123456789, "65535");
  CHECK(file.check_states() == 2);  // its new end comes first
  std::string expected = text;
  expected.replace(expected.find("RW 9 "), 5, "RW 123456789 ");
  expected.replace(expected.find("998"), 3, "65535");
  CHECK(file.text() == expected);
  CHECK(embedded.text() == expected);
  Medium ten(text, 0);
  ten.change(1, "1");
  CHECK(ten.check_states() == 1);
  CHECK(ten.text().size() == text.size());
}

TEST_CASE("lines that do not move may change in several sectors, the CID first") {
  std::string lines;
  for (int i = 0; i < 30; ++i) lines += extent(4192256, "disk-s0" + std::to_string(10 + i) + ".vmdk");
  Medium file(kHead + lines + kDatabase, 0);
  file.change(4192255, "997", 0xabcdef01);
  CHECK(file.check_states() == 2);
  CHECK(file.text().size() == file.before().size());
}

TEST_CASE("a change that would move lines over the border of a sector is refused, and nothing is written") {
  const std::string packed = without_blank_lines(kHead + extent(999, "a.vmdk") + kDatabase) + filler(300);
  // The number lies on the border.
  const std::string head = without_blank_lines(kHead);
  const std::string across =
      head + extent(100, std::string(kSectorSize - 6 - extent(100, "").size() - head.size(), 'n')) + extent(123456, "a.vmdk") + kDatabase;
  REQUIRE(across.substr(kSectorSize - 6, 9) == "RW 123456");
  for (const uint64_t area : {uint64_t{0}, uint64_t{10240}}) {
    CAPTURE(area);
    Medium m(packed, area);
    CHECK_ERRC(m.change(1000), Errc::limit);
    CHECK(m.untouched());
    Medium n(across, area);
    CHECK_ERRC(n.change(654321), Errc::limit);
    CHECK(n.untouched());
  }
}

TEST_CASE("a text that would outgrow its area is refused, and nothing is written") {
  const std::string text = without_blank_lines(kHead + extent(9, "a.vmdk") + kDatabase);
  Medium m(text + filler(kSectorSize - text.size()), kSectorSize);
  CHECK_ERRC(m.change(10), Errc::limit);
  CHECK(m.untouched());
}

TEST_CASE("line ends of two characters and a file with NULs behind its text are kept") {
  std::string text = kHead + extent(999, "a.vmdk") + kDatabase;
  for (size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += 2) text.replace(at, 1, "\r\n");
  Medium m(text, 10240);
  m.change(1000);
  CHECK(m.check_states() == 1);
  CHECK(m.text().size() == text.size());
  Medium nul(kHead + extent(9, "a.vmdk") + kDatabase + std::string(1000, '\0'), 0);
  nul.change(10);
  CHECK(nul.check_states() == 1);
}

}  // namespace
}  // namespace varve::vmdk
