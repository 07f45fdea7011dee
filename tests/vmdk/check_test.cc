// check and repair of sparse extents: each fault is found, what may be repaired is, and repairing twice changes nothing.
#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>

#include "base/zero.h"
#include "io/memory_file_system.h"
#include "support/process.h"
#include "support/storages.h"
#include "support/test.h"
#include "vmdk/images.h"

namespace varve::test {
namespace {

constexpr uint64_t kGrain = 65536;
constexpr uint64_t kSize = uint64_t{100} << 20;  // four tables

/// A monolithicSparse with a few grains, and where its structures lie.
struct Patient {
  MemoryFileSystem files;
  uint64_t gd = 0;
  uint64_t rgd = 0;
  std::map<uint64_t, Bytes> disk;  ///< grains that are not zero

  Patient() {
    CreateOptions options;
    options.file_system = &files;
    Image image = Image::create("/d/a.vmdk", "vmdk", kSize, options);
    for (const uint64_t grain : {0, 1, 5, 600, 1599}) image.write_at(grain * kGrain, pattern(kGrain, static_cast<unsigned>(grain)));
    image.close();
    rgd = number(48, 8) * 512;
    gd = number(56, 8) * 512;
    disk = contents();
  }

  std::shared_ptr<MemoryStorage> file() const { return files.find("/d/a.vmdk"); }
  uint64_t number(uint64_t offset, unsigned size) const {
    Bytes bytes(size);
    file()->read_at(offset, bytes);
    return get(bytes, 0, size);
  }
  void poke(uint64_t offset, uint64_t value, unsigned size = 4) {
    Bytes bytes;
    put(bytes, 0, value, size);
    file()->write_at(offset, bytes);
  }
  /// Where the entry of a grain lies in the copy whose directory is at `directory`.
  uint64_t entry(uint64_t directory, uint64_t grain) const { return number(directory + grain / 512 * 4, 4) * 512 + grain % 512 * 4; }
  uint64_t primary(uint64_t grain) const { return entry(gd, grain); }
  uint64_t redundant(uint64_t grain) const { return entry(rgd, grain); }
  void poke_both(uint64_t grain, uint64_t value) {
    poke(primary(grain), value);
    poke(redundant(grain), value);
  }

  CheckReport check(Repair repair = Repair::none, bool data = false) {
    OpenOptions options;
    options.format = "vmdk";
    options.file_system = &files;
    options.access = repair == Repair::none ? Access::read_only : Access::read_write;
    Image image = Image::open("/d/a.vmdk", options);
    CheckOptions how;
    how.repair = repair;
    how.data = data;
    CheckReport report = image.check(how);
    image.close();
    return report;
  }
  std::map<uint64_t, Bytes> contents() {
    OpenOptions options;
    options.format = "vmdk";
    options.file_system = &files;
    Image image = Image::open("/d/a.vmdk", options);
    std::map<uint64_t, Bytes> grains;
    for (uint64_t offset = 0; offset < image.size();) {
      const Extent run = image.extent_at(offset);
      if (run.kind == ExtentKind::data) {
        for (uint64_t grain = offset / kGrain; grain * kGrain < offset + run.length; ++grain) {
          Bytes bytes(kGrain);
          image.read_at(grain * kGrain, bytes);
          if (!is_zero(bytes)) grains[grain] = std::move(bytes);
        }
      }
      offset += run.length;
    }
    return grains;
  }
  /// Repairs; a second repair must find nothing left and write nothing.
  CheckReport repair(Repair how) {
    CheckReport report = check(how);
    const auto once = file()->contents();
    CheckReport again = check(how);
    CHECK(again.repaired == 0);
    CHECK(again.damages == report.damages);
    CHECK((file()->contents() == once));
    return report;
  }
};

std::string messages(const CheckReport& report) {
  std::string out;
  for (const Finding& f : report.findings) out += std::string(severity_name(f.severity)) + ": " + f.message + "\n";
  return out;
}

TEST_CASE("a sound image is clean, with its data and without, and a check writes nothing") {
  Patient p;
  const auto before = p.file()->contents();
  for (const bool data : {false, true}) {
    const CheckReport report = p.check(Repair::none, data);
    INFO(messages(report));
    CHECK(report.clean());
    CHECK(report.findings.empty());
    CHECK(report.allocated_bytes == 5 * kGrain);
  }
  CHECK((p.file()->contents() == before));
}

TEST_CASE("a directory that lies outside the file costs nothing: reading goes on, writing waits for the repair") {
  for (const uint64_t field : {uint64_t{48}, uint64_t{56}}) {
    for (const uint64_t sector : {uint64_t{0}, uint64_t{1} << 40, UINT64_MAX - 5}) {
      CAPTURE(field);
      CAPTURE(sector);
      Patient p;
      p.poke(field, sector, 8);
      CHECK((p.contents() == p.disk));
      {
        OpenOptions options;
        options.format = "vmdk";
        options.file_system = &p.files;
        options.access = Access::read_write;
        const auto before = p.file()->contents();
        Image image = Image::open("/d/a.vmdk", options);
        CHECK_ERRC(image.write_at(0, pattern(512, 1)), Errc::corrupt);
        image.close();
        CHECK((p.file()->contents() == before));
      }
      CHECK(p.check(Repair::none, true).damages == 1);
      const CheckReport report = p.repair(Repair::safe);
      INFO(messages(report));
      CHECK(report.repaired == 1);
      CHECK(p.check(Repair::none, true).clean());
      CHECK((p.contents() == p.disk));
    }
  }
}

TEST_CASE("a bad entry in either copy is damage, and is repaired from the other without loss") {
  for (const bool primary : {true, false}) {
    for (const uint64_t bad : {uint64_t{0xfffffff0}, uint64_t{1}, uint64_t{30}}) {
      CAPTURE(primary);
      CAPTURE(bad);
      Patient p;
      p.poke(primary ? p.primary(600) : p.redundant(600), bad);
      CHECK(p.check().damages == 1);
      const CheckReport report = p.repair(Repair::safe);
      INFO(messages(report));
      CHECK(report.repaired == 1);
      CHECK(report.damages == 0);
      CHECK((p.contents() == p.disk));
      CHECK(p.check().clean());
    }
  }
}

TEST_CASE("a grain that the file holds in part, and that only one copy knows, is not hidden by a safe repair") {
  Patient p;
  p.file()->resize(p.file()->size() - kGrain / 2);
  p.poke(p.redundant(1599), 0);
  const CheckReport report = p.repair(Repair::safe);
  INFO(messages(report));
  CHECK(report.damages == 1);
  OpenOptions options;
  options.format = "vmdk";
  options.file_system = &p.files;
  Image image = Image::open("/d/a.vmdk", options);
  Bytes part(kGrain / 4);
  image.read_at(1599 * kGrain, part);
  CHECK(part == Bytes(p.disk.at(1599).begin(), p.disk.at(1599).begin() + kGrain / 4));
  CHECK(p.repair(Repair::all).damages == 0);
}

TEST_CASE("an entry that one copy has lost comes back from the other") {
  for (const bool primary : {true, false}) {
    CAPTURE(primary);
    Patient p;
    p.poke(primary ? p.primary(5) : p.redundant(5), 0);
    CHECK(p.check().damages == 1);
    CHECK(p.repair(Repair::safe).damages == 0);
    CHECK((p.contents() == p.disk));
    CHECK(p.check().clean());
  }
}

TEST_CASE("a stale entry of the redundant copy never takes a grain from its owner") {
  Patient p;
  p.poke(p.redundant(7), p.number(p.primary(600), 4));
  CHECK(p.repair(Repair::safe).damages == 0);
  CHECK((p.contents() == p.disk));
  CHECK(p.number(p.redundant(7), 4) == 0);
}

TEST_CASE("MEM-19: two grains in one place are damage that no repair hides") {
  Patient p;
  p.poke_both(7, p.number(p.primary(600), 4));
  CHECK(p.check().damages == 1);
  CHECK(p.repair(Repair::safe).damages == 1);
  CHECK(p.repair(Repair::all).damages == 1);
}

TEST_CASE("MEM-18, MEM-20: an entry bad in both copies is given up only on the user's word, by its range") {
  for (const uint64_t bad : {uint64_t{0xfffffff0}, uint64_t{1}}) {
    CAPTURE(bad);
    Patient p;
    p.poke_both(600, bad);
    CHECK(p.check().damages == 1);
    CHECK(p.check(Repair::none, true).damages == 1);
    CHECK(p.repair(Repair::safe).damages == 1);
    const CheckReport report = p.repair(Repair::all);
    INFO(messages(report));
    CHECK(report.damages == 0);
    REQUIRE(!report.findings.empty());
    CHECK(report.findings.front().disk_offset == 600 * kGrain);
    CHECK(report.findings.front().disk_length == kGrain);
    CHECK(report.findings.front().repaired);
    p.disk.erase(600);
    CHECK((p.contents() == p.disk));
    CHECK(p.check().damages == 0);
    CHECK(p.check().leaked_bytes == kGrain);
  }
}

TEST_CASE("a repair that gives up data changes the CID, durably before the tables; a safe one keeps it") {
  const auto cid_of = [](const Patient& p) {
    Bytes bytes(512);
    p.file()->read_at(512, bytes);
    const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return text.substr(text.find("\nCID=") + 5, 8);
  };
  Patient p;
  const std::string cid = cid_of(p);
  p.poke_both(600, 0xfffffff0);
  p.poke(p.primary(5), 0);
  CHECK(p.check(Repair::safe).repaired == 1);
  CHECK(cid_of(p) == cid);

  const auto log = std::make_shared<EventLog>();
  RecordingFileSystem recording(p.files, log);
  OpenOptions options;
  options.format = "vmdk";
  options.file_system = &recording;
  options.access = Access::read_write;
  Image image = Image::open("/d/a.vmdk", options);
  CheckOptions how;
  how.repair = Repair::all;
  CHECK(image.check(how).repaired == 1);
  image.close();
  CHECK(cid_of(p) != cid);
  const auto events = log->events();
  REQUIRE(events.size() > 2);
  CHECK(events[0].kind == StorageEvent::Kind::write);
  CHECK(events[0].offset == 512);
  CHECK(events[1].kind == StorageEvent::Kind::flush);
  CHECK(events[2].offset > 20 * 512);
  const std::string after = cid_of(p);
  p.repair(Repair::all);
  CHECK(cid_of(p) == after);
}

TEST_CASE("a descriptor without a good CID is damage, which a repair that renews the CID mends, and says so") {
  Patient p;
  Bytes bytes(512);
  p.file()->read_at(512, bytes);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const uint64_t cid = 512 + text.find("\nCID=") + 5;
  p.file()->write_at(cid, Bytes(8, std::byte{'z'}));
  const auto tells_of_cid = [](const CheckReport& report, bool repaired) {
    return std::count_if(report.findings.begin(), report.findings.end(), [&](const Finding& found) {
      return found.repaired == repaired && found.message.find("CID") != std::string::npos;
    });
  };
  CHECK(tells_of_cid(p.check(), false) == 1);
  CHECK(tells_of_cid(p.check(Repair::all), false) == 1);  // nothing is given up, so the CID stays
  p.poke_both(600, 0xfffffff0);
  const CheckReport repaired = p.check(Repair::all);
  CHECK((repaired.damages == 0 && repaired.repaired == 2 && tells_of_cid(repaired, true) == 1));
  CHECK(p.check().damages == 0);
  CHECK(p.check(Repair::all).repaired == 0);
}

TEST_CASE("a directory entry that leads nowhere is repaired in either copy, its table from the other") {
  for (const bool primary : {true, false}) {
    for (const uint64_t table : {0, 1, 3}) {
      for (const uint64_t bad : {uint64_t{0}, uint64_t{0xfffffff0}}) {
        CAPTURE(primary);
        CAPTURE(table);
        CAPTURE(bad);
        Patient p;
        const uint64_t directory = primary ? p.gd : p.rgd;
        const uint64_t before = p.number(directory + table * 4, 4);
        p.poke(directory + table * 4, bad);
        CHECK(p.check().damages == 1);
        CHECK((p.contents() == p.disk));
        CHECK(p.repair(Repair::safe).damages == 0);
        CHECK(p.number(directory + table * 4, 4) == before);
        CHECK((p.contents() == p.disk));
        CHECK(p.check().clean());
      }
    }
  }
}

TEST_CASE("a bad entry of a table that only one copy can find is told, and stays until the user gives it up") {
  for (const bool primary : {true, false}) {
    CAPTURE(primary);
    Patient p;
    p.poke(primary ? p.redundant(5) : p.primary(5), 0xfffffff0);
    p.poke(primary ? p.gd : p.rgd, 0xfffffff0);
    p.disk.erase(5);
    CHECK(p.check().damages == 2);
    CHECK(p.repair(Repair::safe).damages == 1);
    OpenOptions options;
    options.format = "vmdk";
    options.file_system = &p.files;
    Image image = Image::open("/d/a.vmdk", options);
    Bytes grain(kGrain);
    CHECK_ERRC(image.read_at(5 * kGrain, grain), Errc::corrupt);
    const CheckReport all = p.repair(Repair::all);
    CHECK(all.damages == 0);
    CHECK(messages(all).find("grain 5 lies outside the file; given up") != std::string::npos);
    CHECK((p.contents() == p.disk));
  }
}

TEST_CASE("two tables in one place are damage") {
  Patient p;
  p.poke(p.gd + 4, p.number(p.gd, 4));
  CHECK(p.check().damages >= 1);
}

TEST_CASE("where two tables lie in one place no repair writes anything: the good copy stays") {
  for (const Repair repair : {Repair::safe, Repair::all}) {
    Patient p;
    p.poke(p.gd + 4, p.number(p.gd, 4));
    const Bytes before = p.file()->contents();
    const CheckReport report = p.check(repair);
    CHECK(report.damages >= 1);
    CHECK(report.repaired == 0);
    CHECK(p.file()->contents() == before);
  }
}

TEST_CASE("an overhead that covers grains is damage, as it is for the reader") {
  Patient p;
  p.poke(64, p.file()->size() / 512, 8);
  CHECK(p.check().damages >= 5);
}

TEST_CASE("grains are aligned like the first one, wherever the overhead ends") {
  Patient p;
  p.poke(64, p.number(64, 8) - 28, 8);
  CHECK(p.check().clean());
}

TEST_CASE("grains that nothing refers to are leaked space, with their bytes") {
  Patient p;
  p.poke_both(600, 0);
  const CheckReport report = p.check();
  CHECK(report.damages == 0);
  CHECK(report.leaks == 1);
  CHECK(report.leaked_bytes == kGrain);
}

TEST_CASE("an unclean flag is a note; a safe repair clears it when all else is right") {
  Patient p;
  p.poke(72, 1, 1);
  CheckReport report = p.check();
  CHECK(report.clean());
  REQUIRE(report.findings.size() == 1);
  CHECK(report.findings[0].severity == Severity::note);
  p.poke_both(600, 1);
  CHECK(p.check(Repair::safe).damages == 1);
  CHECK(p.number(72, 1) == 1);
  CHECK(p.check(Repair::all).damages == 0);
  CHECK(p.check(Repair::safe).damages == 0);
  CHECK(p.number(72, 1) == 0);
}

TEST_CASE("the unclean flag stays as long as something is left that only an unclean end excuses") {
  Patient p;
  p.poke(72, 1, 1);
  p.poke(p.gd, 0);
  p.poke(64, 22, 8);  // the overhead ends before the tables: where this one has to be can't be told
  CHECK(p.check().damages == 0);
  CHECK(p.repair(Repair::all).damages == 0);
  CHECK(p.number(72, 1) == 1);
  CHECK((p.contents() == p.disk));
}

TEST_CASE("copies that differ after a crash are a note, and a safe repair makes them equal") {
  Patient p;
  p.poke(72, 1, 1);
  p.poke(p.primary(1599), 0);
  const CheckReport report = p.check();
  INFO(messages(report));
  CHECK(report.damages == 0);
  CHECK(p.repair(Repair::safe).damages == 0);
  CHECK((p.contents() == p.disk));
  CHECK(p.check().findings.empty());
}

TEST_CASE("an image that was repaired is clean for qemu-img, too") {
  NEED_TOOL("qemu-img");
  Patient p;
  p.poke(p.primary(600), 0xfffffff0);
  p.poke(p.gd + 4, 0);
  CHECK(p.check(Repair::safe).damages == 0);
  const TempDir dir;
  const auto bytes = p.file()->contents();
  FILE* out = std::fopen((dir / "a.vmdk").c_str(), "wb");
  REQUIRE(out != nullptr);
  CHECK(std::fwrite(bytes.data(), 1, bytes.size(), out) == bytes.size());
  CHECK(std::fclose(out) == 0);
  CHECK(run({"qemu-img", "check", "-f", "vmdk", dir / "a.vmdk"}).exit_code == 0);
}

TEST_CASE("an empty disk of 1.9 TiB is checked and mapped in a blink") {
  MemoryFileSystem files;
  CreateOptions create;
  create.file_system = &files;
  Image made = Image::create("/d/a.vmdk", "vmdk", uint64_t{1900} << 30, create);
  made.close();
  OpenOptions options;
  options.format = "vmdk";
  options.file_system = &files;
  const auto begin = std::chrono::steady_clock::now();
  Image image = Image::open("/d/a.vmdk", options);
  CHECK(image.check().clean());
  uint64_t runs = 0;
  for (uint64_t offset = 0; offset < image.size(); ++runs) offset += image.extent_at(offset).length;
  CHECK(runs < 5000);
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(2));
}

}  // namespace
}  // namespace varve::test
