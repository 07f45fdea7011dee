// check of what has no tables to repair: descriptors, and the grains of streams.
#include <string>

#include "io/memory_file_system.h"
#include "support/test.h"
#include "vmdk/images.h"

namespace varve::test {
namespace {

constexpr uint64_t kGrain = 65536;

TEST_CASE("descriptor faults are found") {
  const auto check_text = [](const std::string& text) {
    MemoryFileSystem files;
    files.add("/d/a.vmdk", bytes_of_text("# Disk DescriptorFile\n" + text + "RW 8 ZERO\n"));
    OpenOptions options;
    options.format = "vmdk";
    options.file_system = &files;
    return Image::open("/d/a.vmdk", options).check();
  };
  const std::string good = "version=1\nCID=00000001\nparentCID=ffffffff\ncreateType=\"custom\"\n";
  CHECK(check_text(good).findings.empty());
  CHECK(check_text("version=1\nparentCID=ffffffff\ncreateType=\"custom\"\n").damages == 1);
  CHECK(check_text("version=1\nCID=00000001\nparentCID=ffffffff\n").damages == 1);
  CHECK(check_text(good + "cid=00000002\n").damages == 1);
  CHECK(check_text("CID=00000001\nparentCID=ffffffff\ncreateType=\"custom\"\n").findings.size() == 1);
}

struct StreamPatient {
  MemoryFileSystem files;
  CheckReport check(const Bytes& bytes, bool data) {
    files.add("/d/a.vmdk", bytes);
    OpenOptions options;
    options.format = "vmdk";
    options.file_system = &files;
    CheckOptions how;
    how.data = data;
    return Image::open("/d/a.vmdk", options).check(how);
  }
};

TEST_CASE("a stream's grains are decoded and their markers compared with --data") {
  Stream s;
  s.sectors = 128 * 700;
  for (const uint64_t number : {0, 1, 2, 699}) s.grains[number] = pattern(kGrain, static_cast<unsigned>(number));
  const Bytes good = stream_image(s);
  StreamPatient p;
  CHECK(p.check(good, true).findings.empty());
  Bytes bad = good;
  put(bad, 128 * 512 + 5000, get(bad, 128 * 512 + 5000, 4) ^ 0x55, 4);
  CHECK(p.check(bad, false).clean());
  const CheckReport report = p.check(bad, true);
  CHECK(report.damages == 1);
  CHECK(report.findings[0].disk_offset == 0);
  CHECK(report.findings[0].disk_length == kGrain);
  bad = good;
  put(bad, 128 * 512, 128, 8);
  CHECK(p.check(bad, true).damages == 1);
  s.footer = false;
  s.end_marker = false;
  const CheckReport open_end = p.check(stream_image(s), true);
  CHECK(open_end.clean());
  CHECK(open_end.findings.size() == 1);
}

}  // namespace
}  // namespace varve::test
