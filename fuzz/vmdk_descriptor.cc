// A descriptor of any text: what was parsed survives a round trip through its own text, setting a value changes that value only, and no
// extent line comes back different.
#include "data_producer.h"
#include "target.h"
#include "vmdk/descriptor.h"

namespace varve::fuzz {

const char* const kTargetName = "vmdk_descriptor";

namespace {

void compare_extents(const std::vector<vmdk::ExtentLine>& a, const std::vector<vmdk::ExtentLine>& b) {
  require(a.size() == b.size(), "the number of extents changed");
  for (size_t i = 0; i < a.size(); ++i) {
    require(a[i].access == b[i].access && a[i].sectors == b[i].sectors && a[i].type == b[i].type && a[i].name == b[i].name &&
                a[i].offset_sectors == b[i].offset_sectors,
            "an extent line changed");
  }
}

void rewrite_extents(const vmdk::Descriptor& descriptor) {
  for (const vmdk::ExtentLine& line : descriptor.extents()) {
    only_errors([&] {
      const std::string text = vmdk::extent_line_text(line);
      compare_extents({line}, {vmdk::parse_extent_line(text)});
    });
  }
}

}  // namespace

void run(std::span<const uint8_t> input) {
  const HeapBound bound(input.size());
  DataProducer numbers(input);
  const uint32_t cid = static_cast<uint32_t>(numbers.number(4));
  const std::string value = numbers.text(20);
  only_errors([&] {
    const ConstBytes text = numbers.rest();
    const vmdk::Descriptor first = vmdk::Descriptor::parse(text, Limits{});
    const std::string stored = first.text();
    const vmdk::Descriptor second = vmdk::Descriptor::parse(std::as_bytes(std::span(stored)), Limits{});
    require(second.text() == stored && second.entries() == first.entries(), "text() does not parse to the same");
    compare_extents(first.extents(), second.extents());
    rewrite_extents(first);

    vmdk::Descriptor changed = first;
    changed.set_cid(cid);
    require(changed.cid() == cid, "set_cid() did not take");
    require(changed.parent_cid() == first.parent_cid() && changed.create_type() == first.create_type(), "set_cid() changed another key");
    const std::string again = changed.text();
    const vmdk::Descriptor third = vmdk::Descriptor::parse(std::as_bytes(std::span(again)), Limits{});
    require(third.cid() == cid, "the new CID does not survive a round trip");
    compare_extents(first.extents(), third.extents());
    changed.set("createType", value);
    const std::string typed = changed.text();
    compare_extents(first.extents(), vmdk::Descriptor::parse(std::as_bytes(std::span(typed)), Limits{}).extents());
  });
}

}  // namespace varve::fuzz
