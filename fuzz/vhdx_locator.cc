// A parent locator of any bytes: what is parsed survives a round trip through its own encoding, and a locator that we make names the parent
// that it was made for.
#include "data_producer.h"
#include "target.h"
#include "vhdx/locator.h"

namespace varve::fuzz {

const char* const kTargetName = "vhdx_locator";

namespace {

void parse_any(ConstBytes bytes) {
  const vhdx::ParentLocator locator = vhdx::parse_locator(bytes);
  require(locator.size() <= 64, "more than 64 pairs were taken");
  only_errors([&] {
    const vhdx::ParentLocator again = vhdx::parse_locator(vhdx::encode(locator));
    require(again == locator, "a locator comes back different from its own encoding");
  });
  only_errors([&] {
    const ParentLink link = vhdx::parent_link(locator);
    require(!link.identities.empty() && link.format == "vhdx", "a link that says nothing of the parent");
  });
}

void make_one(const std::string& name, const Uuid& guid) {
  const std::string identity = vhdx::identity_of(guid);
  const vhdx::ParentLocator made = vhdx::make_locator(name, identity);
  const vhdx::ParentLocator read = vhdx::parse_locator(vhdx::encode(made));
  require(read == made, "a locator that we made reads different");
  const ParentLink link = vhdx::parent_link(read);
  require(link.identities.front() == identity, "a locator that we made has another identity");
  require(!link.names.empty(), "a locator that we made has no name");
}

}  // namespace

void run(std::span<const uint8_t> input) {
  const HeapBound bound(input.size());
  DataProducer numbers(input);
  Uuid guid;
  for (uint8_t& byte : guid.bytes) byte = numbers.byte();
  const std::string name = numbers.text(40);
  only_errors([&] { make_one(name, guid); });
  only_errors([&] { parse_any(numbers.rest()); });
}

}  // namespace varve::fuzz
