#include "unit/ops_kit.h"

#include <algorithm>
#include <map>

#include "base/checked_math.h"
#include "image/chain.h"
#include "io/memory_storage.h"

namespace varve::test {

namespace {

constexpr uint64_t kUnit = 4096;

class ScriptImage final : public FormatImage {
 public:
  ScriptImage(std::vector<ScriptRun> runs, std::shared_ptr<Journal> journal, uint64_t fail_at)
      : runs_(std::move(runs)), journal_(std::move(journal)), fail_at_(fail_at) {
    for (const ScriptRun& run : runs_) size_ += run.length;
  }

  ImageInfo info() const override { return {}; }
  uint64_t size() const override { return size_; }

  void read_at(uint64_t offset, MutableBytes out) override {
    if (journal_ != nullptr) journal_->add(Journal::What::read, offset, out.size());
    if (fail_at_ >= offset && fail_at_ - offset < out.size()) throw Error(Errc::io, "the script fails here").at(fail_at_);
    for (size_t done = 0; done < out.size();) {
      const Extent run = extent_at(offset + done, out.size() - done);
      for (uint64_t i = 0; i < run.length; ++i, ++done)
        out[done] = run.kind == ExtentKind::data ? pattern_byte(offset + done) : std::byte{0};
    }
  }

  Extent extent_at(uint64_t offset, uint64_t limit) override {
    uint64_t end = 0;
    for (const ScriptRun& run : runs_) {
      end += run.length;
      if (offset < end) return {offset, std::min(limit, end - offset), run.kind};
    }
    throw Error(Errc::invalid_argument, "outside the script");
  }

 private:
  const std::vector<ScriptRun> runs_;
  const std::shared_ptr<Journal> journal_;
  const uint64_t fail_at_;
  uint64_t size_ = 0;
};

struct Piece final : BulkPiece {
  uint64_t offset = 0;
  ConstBytes data;
  uint64_t position = 0;
};

/// The disk at its own offsets in the file, or, filled in bulk, unit after unit as they were placed.
class RecordingImage final : public FormatImage, private BulkWriter {
 public:
  RecordingImage(Way way, std::shared_ptr<Storage> file, uint64_t size, std::shared_ptr<Journal> journal)
      : way_(way), file_(std::move(file)), size_(size), journal_(std::move(journal)) {}

  ImageInfo info() const override { return {}; }
  uint64_t size() const override { return size_; }

  void read_at(uint64_t offset, MutableBytes out) override {
    if (way_ != Way::bulk) return file_->read_at(offset, out);
    for (size_t done = 0; done < out.size();) {
      const uint64_t at = offset + done;
      const size_t length = static_cast<size_t>(std::min<uint64_t>(out.size() - done, kUnit - at % kUnit));
      const auto found = positions_.find(align_down(at, kUnit));
      if (found == positions_.end()) {
        std::fill_n(out.begin() + static_cast<ptrdiff_t>(done), length, std::byte{0});
      } else {
        file_->read_at(found->second + at % kUnit, out.subspan(done, length));
      }
      done += length;
    }
  }

  void write_at(uint64_t offset, ConstBytes data) override {
    journal_->add(Journal::What::write, offset, data.size());
    file_->write_at(offset, data);
  }
  bool zero(uint64_t offset, uint64_t length) override {
    journal_->add(Journal::What::zero, offset, length);
    return file_->punch_hole(offset, length);
  }
  Extent extent_at(uint64_t offset, uint64_t limit) override { return {offset, limit, ExtentKind::data}; }
  void flush() override { file_->flush(); }
  BulkWriter* bulk_writer() override { return way_ == Way::bulk ? this : nullptr; }
  Storage* flat_storage() override { return way_ == Way::flat ? file_.get() : nullptr; }

 private:
  uint64_t unit() const override { return kUnit; }
  std::unique_ptr<BulkPiece> encode(uint64_t offset, ConstBytes data) override {
    journal_->add(Journal::What::encode, offset, data.size());
    auto piece = std::make_unique<Piece>();
    piece->offset = offset;
    piece->data = data;
    return piece;
  }
  void place(BulkPiece& given) override {
    Piece& piece = dynamic_cast<Piece&>(given);
    journal_->add(Journal::What::place, piece.offset, piece.data.size());
    piece.position = end_;
    for (uint64_t done = 0; done < piece.data.size(); done += kUnit) positions_[piece.offset + done] = end_ + done;
    end_ += piece.data.size();
  }
  void store(BulkPiece& given) override {
    const Piece& piece = dynamic_cast<Piece&>(given);
    journal_->add(Journal::What::store, piece.offset, piece.data.size());
    file_->write_at(piece.position, piece.data);
  }

  const Way way_;
  const std::shared_ptr<Storage> file_;
  const uint64_t size_;
  const std::shared_ptr<Journal> journal_;
  std::map<uint64_t, uint64_t> positions_;  // place() alone changes it
  uint64_t end_ = 0;
};

/// Only gives the images a name: they are put together by hand, each with its journal.
class NamingDriver final : public FormatDriver {
 public:
  const FormatInfo& info() const override {
    static const FormatInfo kInfo = {"recording", "for tests", {"rec"}, {.create = true, .write = true}, {}};
    return kInfo;
  }
  ProbeResult probe(const ProbeInput&) const override { return {}; }
  std::unique_ptr<FormatImage> open(OpenContext&) const override { throw Error(Errc::unsupported, "made by hand"); }
};

Image image_over(std::unique_ptr<FormatImage> image, bool writable, std::unique_ptr<ImageCreateContext> creation = nullptr) {
  static const NamingDriver kDriver;
  Node::Identity identity{&kDriver, "a.rec", writable, {}, std::make_shared<Warnings>(nullptr)};
  return Image(std::make_shared<Node>(std::move(identity), std::move(image), std::move(creation)));
}

}  // namespace

void Journal::add(What what, uint64_t offset, uint64_t length) {
  const std::lock_guard lock(mutex_);
  events_.push_back({what, offset, length});
}

std::vector<Journal::Event> Journal::all() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

std::vector<Journal::Event> Journal::of(What what) const {
  std::vector<Event> events = all();
  std::erase_if(events, [&](const Event& event) { return event.what != what; });
  return events;
}

bool Journal::touched(What what, uint64_t offset, uint64_t length) const {
  const std::vector<Event> events = of(what);
  return std::any_of(events.begin(), events.end(),
                     [&](const Event& event) { return event.offset < offset + length && offset < event.offset + event.length; });
}

std::byte pattern_byte(uint64_t offset) { return static_cast<std::byte>(1 + (offset * 2654435761u >> 7) % 255); }

std::vector<std::byte> script_bytes(const std::vector<ScriptRun>& runs) {
  std::vector<std::byte> bytes;
  for (const ScriptRun& run : runs)
    for (uint64_t i = 0; i < run.length; ++i) bytes.push_back(run.kind == ExtentKind::data ? pattern_byte(bytes.size()) : std::byte{0});
  return bytes;
}

Image script_disk(const std::vector<ScriptRun>& runs, std::shared_ptr<Journal> journal, uint64_t fail_at) {
  return image_over(std::make_unique<ScriptImage>(runs, std::move(journal), fail_at), false);
}

Image recording_target(Way way, FileSystem& files, uint64_t size, std::shared_ptr<Journal> journal, std::shared_ptr<Storage> pipe) {
  auto context = std::make_unique<ImageCreateContext>("a.rec", size, OptionValues(NamingDriver().info(), {}), CreateOptions{}, files,
                                                      std::make_shared<Warnings>(nullptr));
  const bool streaming = pipe != nullptr;
  if (streaming) context->use_stream(std::move(pipe));
  if (way != Way::bulk && !streaming) context->file()->resize(size);
  auto image = std::make_unique<RecordingImage>(way, context->file(), size, std::move(journal));
  return image_over(std::move(image), true, std::move(context));
}

Image recording_disk(Way way, std::shared_ptr<Storage> file, std::shared_ptr<Journal> journal) {
  const uint64_t size = file->size();
  return image_over(std::make_unique<RecordingImage>(way, std::move(file), size, std::move(journal)), true);
}

Image recording_disk(Way way, const std::vector<std::byte>& contents, std::shared_ptr<Journal> journal) {
  return recording_disk(way, std::make_shared<MemoryStorage>("existing", ConstBytes(contents)), std::move(journal));
}

}  // namespace varve::test
