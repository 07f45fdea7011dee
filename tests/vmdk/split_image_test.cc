// Images of several extents that we write: what crosses a border, and what there is one of for all extents.
#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "image/node.h"
#include "io/memory_file_system.h"
#include "support/process.h"
#include "support/test.h"
#include "varve/image.h"
#include "varve/ops.h"
#include "vmdk/create.h"
#include "vmdk/images.h"
#include "vmdk/split_bulk.h"

namespace varve::test {
namespace {

constexpr uint64_t kBorder = vmdk::kSplitSectors * 512;  // of the first extent of a split image

/// Writes down what it is given.
class NotingWriter final : public BulkWriter {
 public:
  struct Call {
    std::string step;
    uint64_t offset = 0;
    size_t length = 0;
    bool operator==(const Call&) const = default;
  };
  struct Piece final : BulkPiece {
    Call call;
  };

  uint64_t unit() const override { return 4; }
  std::unique_ptr<BulkPiece> encode(uint64_t offset, ConstBytes data) override {
    auto piece = std::make_unique<Piece>();
    piece->call = {"encode", offset, data.size()};
    calls.push_back(piece->call);
    return piece;
  }
  void place(BulkPiece& piece) override { note("place", piece); }
  void store(BulkPiece& piece) override { note("store", piece); }

  std::vector<Call> calls;

 private:
  void note(const char* step, BulkPiece& piece) {
    Call call = static_cast<Piece&>(piece).call;
    call.step = step;
    calls.push_back(call);
  }
};

TEST_CASE("a piece is cut at the extents' borders, and each part takes every step in its extent") {
  NotingWriter writers[3];
  vmdk::SplitBulkWriter split({{0, 8, &writers[0]}, {8, 12, &writers[1]}, {12, 19, &writers[2]}}, 4);
  const Bytes data(15);
  const auto piece = split.encode(4, data);
  split.place(*piece);
  split.store(*piece);
  using Calls = std::vector<NotingWriter::Call>;
  CHECK((writers[0].calls == Calls{{"encode", 4, 4}, {"place", 4, 4}, {"store", 4, 4}}));
  CHECK((writers[1].calls == Calls{{"encode", 0, 4}, {"place", 0, 4}, {"store", 0, 4}}));
  CHECK((writers[2].calls == Calls{{"encode", 0, 7}, {"place", 0, 7}, {"store", 0, 7}}));
  split.encode(8, ConstBytes(data).first(4));
  CHECK(writers[1].calls.size() == 4);
  CHECK(writers[2].calls.size() == 3);
}

TEST_CASE("every new image that allocates is filled through a bulk writer, however many extents it has") {
  for (const std::string options : {"", "subformat=twoGbMaxExtentSparse", "subformat=streamOptimized"}) {
    CAPTURE(options);
    MemoryFileSystem files;
    CreateOptions how;
    how.file_system = &files;
    how.options = parse_options(options);
    Image image = Image::create("a.vmdk", "vmdk", 3 * kBorder + 512, how);
    BulkWriter* const writer = image.node().image().bulk_writer();
    REQUIRE(writer != nullptr);
    CHECK(writer->unit() == 65536);
    image.abort();
  }
}

TEST_CASE("a conversion to twoGbMaxExtentSparse keeps what crosses a border, and qemu-img reads it") {
  NEED_TOOL("qemu-img");
  const TempDir dir;
  const uint64_t size = 2 * kBorder + 70000 / 512 * 512;
  const std::map<uint64_t, Bytes> pieces = {
      {0, pattern(1000, 1)}, {kBorder - 300000, pattern(700000, 2)}, {2 * kBorder - 512, pattern(1024, 3)}, {size - 512, pattern(512, 4)}};
  OpenOptions raw;
  raw.format = "raw";
  raw.access = Access::read_write;
  {
    CreateOptions plain;
    plain.durable = false;
    Image image = Image::create(dir / "disk.raw", "raw", size, plain);
    for (const auto& [offset, data] : pieces) image.write_at(offset, data);
    image.close();
  }
  for (const unsigned threads : {1U, 4U}) {
    CAPTURE(threads);
    ConvertOptions how;
    how.source_format = "raw";
    how.target_format = "vmdk";
    how.create.options = parse_options("subformat=twoGbMaxExtentSparse");
    how.create.durable = false;
    how.create.force = true;
    how.copy.threads = threads;
    convert(dir / "disk.raw", dir / "disk.vmdk", how);
    Image image = Image::open(dir / "disk.vmdk");
    CHECK(image.check().clean());
    for (const auto& [offset, data] : pieces) {
      Bytes read(data.size());
      image.read_at(offset, read);
      CHECK((read == data));
    }
    image.close();
    must_run({"qemu-img", "compare", "-f", "vmdk", "-F", "raw", dir / "disk.vmdk", dir / "disk.raw"});
  }
}

/// Writes down how each file is published.
class NamingFiles final : public FileSystem {
 public:
  std::shared_ptr<Storage> open(const std::string& path, const FileOpen& how) override { return files_.open(path, how); }
  std::shared_ptr<Storage> open_beneath(const std::string& directory, const std::string& name, const FileOpen& how) override {
    return files_.open_beneath(directory, name, how);
  }
  std::unique_ptr<PendingFile> create(const std::string& path, const FileCreate& how) override {
    return std::make_unique<Pending>(*this, path, files_.create(path, how));
  }

  std::vector<std::pair<std::string, Naming>> published;

 private:
  class Pending final : public PendingFile {
   public:
    Pending(NamingFiles& owner, std::string path, std::unique_ptr<PendingFile> below)
        : owner_(owner), path_(std::move(path)), below_(std::move(below)) {}
    const std::shared_ptr<Storage>& storage() const override { return below_->storage(); }
    void publish(Naming naming) override {
      below_->publish(naming);
      owner_.published.emplace_back(path_, naming);
    }
    void withdraw() noexcept override { below_->withdraw(); }

   private:
    NamingFiles& owner_;
    const std::string path_;
    const std::unique_ptr<PendingFile> below_;
  };

  MemoryFileSystem files_;
};

TEST_CASE("the names of all extents are durable before the descriptor has its name, with one wait for them together") {
  NamingFiles files;
  CreateOptions how;
  how.file_system = &files;
  how.options = parse_options("subformat=twoGbMaxExtentSparse");
  Image::create("a.vmdk", "vmdk", 3 * kBorder, how).close();
  const std::vector<std::pair<std::string, Naming>> expected = {
      {"a-s001.vmdk", Naming::pending}, {"a-s002.vmdk", Naming::pending}, {"a-s003.vmdk", Naming::durable}, {"a.vmdk", Naming::durable}};
  CHECK((files.published == expected));
}

TEST_CASE("growing: the last extent takes what it has room for, and more is refused before anything changes") {
  for (const std::string options : {"subformat=twoGbMaxExtentSparse", "subformat=twoGbMaxExtentFlat"}) {
    CAPTURE(options);
    MemoryFileSystem files;
    CreateOptions how;
    how.file_system = &files;
    how.options = parse_options(options);
    Image::create("a.vmdk", "vmdk", kBorder + 65536, how).close();
    OpenOptions open;
    open.file_system = &files;
    open.format = "vmdk";
    open.access = Access::read_write;
    const auto text = files.find("a.vmdk")->contents();
    {
      Image image = Image::open("a.vmdk", open);
      CHECK_ERRC(image.resize(2 * kBorder + 512), Errc::unsupported);
      CHECK_ERRC(image.resize(kBorder), Errc::unsupported);
      if (options.ends_with("Sparse")) CHECK_ERRC(image.resize(kBorder + 512), Errc::unsupported);
      CHECK(image.size() == kBorder + 65536);
      image.close();
      CHECK((files.find("a.vmdk")->contents() == text));
    }
    Image image = Image::open("a.vmdk", open);
    image.resize(2 * kBorder);
    CHECK(image.size() == 2 * kBorder);
    image.write_at(2 * kBorder - 512, pattern(512, 5));
    image.close();
    Image again = Image::open("a.vmdk", open);
    CHECK(again.size() == 2 * kBorder);
    CHECK(again.check().clean());
  }
}

}  // namespace
}  // namespace varve::test
