#include <type_traits>

#include "support/test.h"

using varve::Errc;
using varve::Error;

TEST_CASE("an error is one line: path, message, cause, place, hint") {
  const Error e =
      Error(Errc::corrupt, "grain table 3 lies outside the file").in("a.vmdk").at(4096).during("open").hint("restore it from a copy");
  CHECK(std::string(e.what()) == "a.vmdk: grain table 3 lies outside the file (open at byte 4096): restore it from a copy");
  CHECK(e.code() == Errc::corrupt);
}

TEST_CASE("REF-7: an error is one harmless line, whatever the names in it; its parts stay as they are") {
  const Error e = Error(Errc::corrupt, "no extent \"a\nb\x1b[2J\"").in("x\r\xff.vmdk");
  CHECK(std::string(e.what()) == "x\\x0d\\xff.vmdk: no extent \"a\\x0ab\\x1b[2J\"");
  CHECK(e.path() == "x\r\xff.vmdk");
}

TEST_CASE("the first path named stays") {
  Error e = Error(Errc::io, "cannot read").in("extent.vmdk").caused_by("Input/output error");
  e.add_path("descriptor.vmdk");
  CHECK(std::string(e.what()) == "extent.vmdk: cannot read: Input/output error");
}

TEST_CASE("an error about the disk names its place there too, and the first one named stays") {
  Error e = Error(Errc::corrupt, "a cluster is damaged").in("a.varve").at(131072).hint("restore it");
  e.add_disk_offset(65536);
  e.add_disk_offset(1);
  CHECK(std::string(e.what()) == "a.varve: a cluster is damaged (at byte 131072, disk byte 65536): restore it");
  CHECK(e.disk_offset() == 65536);
  CHECK(std::string(Error(Errc::io, "no").at_disk(7).what()) == "no (disk byte 7)");
}

TEST_CASE("throwing an error cannot terminate: it moves without throwing") { CHECK(std::is_nothrow_move_constructible_v<Error>); }

TEST_CASE("every code has a name") {
  for (int code = 1; code <= 12; ++code) CHECK(varve::errc_name(static_cast<Errc>(code)) != "unknown");
}
