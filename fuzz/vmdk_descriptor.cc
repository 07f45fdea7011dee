// A descriptor of any text: what was parsed survives a round trip through its own text, setting a value changes that value only, and no
// extent line comes back different.
#include "data_producer.h"
#include "target.h"
#include "vmdk/descriptor.h"

namespace varve::fuzz {

const char* const kTargetName = "vmdk_descriptor";

namespace {

/// A value may make a line longer than any that a file may have.
const Limits kAnyLine = [] {
  Limits limits;
  limits.descriptor_line = UINT32_MAX;
  return limits;
}();

/// What a descriptor keeps of a value.
std::string trimmed(const std::string& value) {
  const size_t begin = value.find_first_not_of(" \t");
  return begin == std::string::npos ? "" : value.substr(begin, value.find_last_not_of(" \t") + 1 - begin);
}

void compare_extents(const std::vector<vmdk::ExtentLine>& a, const std::vector<vmdk::ExtentLine>& b) {
  require(a.size() == b.size(), "the number of extents changed");
  for (size_t i = 0; i < a.size(); ++i) {
    require(a[i].access == b[i].access && a[i].sectors == b[i].sectors && a[i].type == b[i].type && a[i].name == b[i].name &&
                a[i].offset_sectors == b[i].offset_sectors,
            "an extent line changed");
  }
}

/// A value takes or is refused, and says the same when it is read again.
void set_value(vmdk::Descriptor descriptor, const std::string& key, const std::string& value) {
  if (only_errors([&] { descriptor.set(key, value); }) != 0) return;
  const std::string text = descriptor.text();
  const vmdk::Descriptor again = vmdk::Descriptor::parse(std::as_bytes(std::span(text)), kAnyLine);
  require(trimmed(again.get(key).value_or("")) == trimmed(value), "a value that was set comes back different: " + text);
  require(again.entries().size() == descriptor.entries().size(), "setting a value added an entry");
  compare_extents(descriptor.extents(), again.extents());
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
    for (const char* key : {"createType", "parentFileNameHint", "ddb.uuid"}) set_value(first, key, value);
    for (const vmdk::ExtentLine& line : first.extents()) first.to_utf8(line.name);
  });
}

}  // namespace varve::fuzz
