// Any bytes, format unknown: probing decides or throws, decides the same twice, and never trusts what a guest could have written.
#include "image/probe.h"

#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "probe";

void run(std::span<const uint8_t> input) {
  const MemoryImage file(std::as_bytes(input));
  const HeapBound bound(input.size());
  Detection first;
  Detection second;
  const int code = only_errors([&] { first = detect_format(*file.storage()); });
  require(only_errors([&] { second = detect_format(*file.storage()); }) == code, "probing twice gives two answers");
  require(first.driver == second.driver && first.trusted == second.trusted, "probing twice gives two formats");
  if (code != 0) {
    require(code == static_cast<int>(Errc::invalid_argument), "probing fails only as ambiguous or unknown");
    return;
  }
  require(first.driver != nullptr, "no error and no driver");
  require(!(first.trusted && first.driver->info().name == "raw"), "raw is never trusted");
  only_errors([&] {
    Image image = file.open(Access::read_write, "");
    require(first.trusted, "opened for writing on a signature that a guest can write");
  });
  only_errors([&] {
    Image image = file.open(Access::read_only, "");
    require(image.format().name == first.driver->info().name, "opened as another format than probed");
    read_everything(image);
  });
  require(same_bytes(file.bytes(), std::as_bytes(input)), "the file changed");
}

}  // namespace varve::fuzz
