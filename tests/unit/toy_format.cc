#include "unit/toy_format.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <mutex>

#include "base/checked_math.h"
#include "base/endian.h"

namespace varve::test {

namespace {

constexpr uint64_t kStates = 4096;
constexpr uint64_t kMaxBlocks = 1 << 20;
constexpr uint64_t kBlocks = kStates + kMaxBlocks;

struct HeaderRaw {
  std::array<char, 8> magic;
  le64 size;
  std::array<char, 16> identity;
  std::array<char, 16> parent_identity;
  std::array<char, 64> parent;
  uint8_t twin;
};
constexpr std::array<char, 8> kMagic = {'T', 'O', 'Y', 'F', 'M', 'T', '0', '1'};

template <size_t n>
std::array<char, n> padded(const std::string& text) {
  std::array<char, n> field{};
  std::memcpy(field.data(), text.data(), std::min(text.size(), n - 1));
  return field;
}

class ToyImage final : public FormatImage {
 public:
  explicit ToyImage(std::shared_ptr<Storage> file) : file_(std::move(file)) {
    std::array<std::byte, sizeof(HeaderRaw)> bytes;
    file_->read_at(0, bytes);
    header_ = load<HeaderRaw>(bytes);
    if (header_.magic != kMagic) throw Error(Errc::corrupt, "not a toy");
  }

  ImageInfo info() const override {
    ImageInfo info;
    info.files = {file_->name()};
    info.cluster_size = kToyBlock;
    return info;
  }
  uint64_t size() const override { return header_.size; }
  uint64_t granularity() const override { return kToyBlock; }

  void read_at(uint64_t offset, MutableBytes out) override {
    each_block(offset, out.size(), [&](uint64_t at, uint64_t done, uint64_t length) {
      const MutableBytes part = out.subspan(done, length);
      switch (state(at / kToyBlock)) {
        case 0: read_backing(at, part); break;
        case 1: std::fill(part.begin(), part.end(), std::byte{0}); break;
        default: file_->read_at(kBlocks + at, part);
      }
    });
  }

  void write_at(uint64_t offset, ConstBytes data) override {
    each_block(offset, data.size(), [&](uint64_t at, uint64_t done, uint64_t length) {
      const uint64_t start = align_down(at, kToyBlock);
      std::vector<std::byte> block(std::min(kToyBlock, size() - start));
      read_at(start, block);
      std::copy_n(data.begin() + static_cast<ptrdiff_t>(done), length, block.begin() + static_cast<ptrdiff_t>(at - start));
      file_->write_at(kBlocks + start, block);
      set_state(start / kToyBlock, 2);
    });
  }

  bool zero(uint64_t offset, uint64_t length) override {
    each_block(offset, length, [&](uint64_t at, uint64_t, uint64_t) { set_state(at / kToyBlock, 1); });
    return true;
  }

  Extent extent_at(uint64_t offset, uint64_t limit) override {
    const uint64_t length = std::min(limit, kToyBlock - offset % kToyBlock);
    Extent run{offset, length, static_cast<ExtentKind>(2 - state(offset / kToyBlock))};
    if (run.kind == ExtentKind::data) run.host_offset = kBlocks + offset;
    return run;
  }

  void flush() override { file_->flush(); }
  void resize(uint64_t size) override {
    header_.size = size;
    file_->write_at(0, bytes_of(header_));
  }

  std::optional<ParentLink> parent() const override {
    if (header_.parent[0] == 0) return std::nullopt;
    return ParentLink{{header_.parent.data()}, "toy", {header_.parent_identity.data()}};
  }
  std::string identity() const override { return header_.identity.data(); }

 private:
  template <typename Visit>
  static void each_block(uint64_t offset, uint64_t length, Visit visit) {
    for (uint64_t done = 0; done < length;) {
      const uint64_t part = std::min(length - done, kToyBlock - (offset + done) % kToyBlock);
      visit(offset + done, done, part);
      done += part;
    }
  }

  uint8_t state(uint64_t block) {
    std::array<std::byte, 1> byte{};
    if (kStates + block < file_->size()) file_->read_at(kStates + block, byte);
    return std::to_integer<uint8_t>(byte[0]);
  }

  void set_state(uint64_t block, uint8_t state) {
    const std::array<std::byte, 1> byte = {std::byte{state}};
    file_->write_at(kStates + block, byte);
  }

  const std::shared_ptr<Storage> file_;
  HeaderRaw header_{};
};

class ToyDriver final : public FormatDriver {
 public:
  const FormatInfo& info() const override {
    static const FormatInfo kInfo = {"toy",
                                     "for tests",
                                     {"toy"},
                                     {.create = true, .write = true, .parent = true, .zero = true, .resize = true},
                                     {{"identity", OptionType::text, "me", "its name"},
                                      {"twin", OptionType::boolean, "off", "looks like a twin, too"},
                                      {"flavour", OptionType::choice, "sweet", "one of two", {"sweet", "sour"}},
                                      {"block", OptionType::size, "4K", "nothing", {}, 512, 65536, true}}};
    return kInfo;
  }
  ProbeResult probe(const ProbeInput& input) const override {
    return {.matches = input.head.size() >= 8 && std::memcmp(input.head.data(), kMagic.data(), 8) == 0};
  }
  std::unique_ptr<FormatImage> open(OpenContext& context) const override { return std::make_unique<ToyImage>(context.file()); }
  std::unique_ptr<FormatImage> create(CreateContext& context) const override {
    HeaderRaw header{};
    header.magic = kMagic;
    header.size = context.size();
    header.identity = padded<16>(context.options().text("identity"));
    header.twin = context.options().boolean("twin") ? 1 : 0;
    if (const CreateContext::Parent* parent = context.parent()) {
      header.parent = padded<64>(parent->name);
      header.parent_identity = padded<16>(parent->identity);
    }
    context.file()->write_at(0, bytes_of(header));
    return std::make_unique<ToyImage>(context.file());
  }
};

class TwinDriver final : public FormatDriver {
 public:
  const FormatInfo& info() const override {
    static const FormatInfo kInfo = {"twin", "for tests", {"twin"}, {}, {}};
    return kInfo;
  }
  ProbeResult probe(const ProbeInput& input) const override {
    return {.matches = input.head.size() >= sizeof(HeaderRaw) && load<HeaderRaw>(input.head).twin == 1};
  }
  std::unique_ptr<FormatImage> open(OpenContext& context) const override { return std::make_unique<ToyImage>(context.file()); }
};

/// The storage as it is.
class AnyImage final : public FormatImage {
 public:
  explicit AnyImage(std::shared_ptr<Storage> file) : file_(std::move(file)) {}
  ImageInfo info() const override { return {}; }
  uint64_t size() const override { return file_->size(); }
  void read_at(uint64_t offset, MutableBytes out) override { file_->read_at(offset, out); }
  void write_at(uint64_t offset, ConstBytes data) override { file_->write_at(offset, data); }
  Extent extent_at(uint64_t offset, uint64_t limit) override { return {offset, limit, ExtentKind::data}; }
  void flush() override { file_->flush(); }

 private:
  const std::shared_ptr<Storage> file_;
};

class AnyDriver final : public FormatDriver {
 public:
  const FormatInfo& info() const override {
    static const FormatInfo kInfo = {"any", "for tests", {"any"}, {.create = true, .write = true}, {}};
    return kInfo;
  }
  ProbeResult probe(const ProbeInput&) const override { return {.matches = true, .fallback = true}; }
  std::unique_ptr<FormatImage> open(OpenContext& context) const override { return std::make_unique<AnyImage>(context.file()); }
  std::unique_ptr<FormatImage> create(CreateContext& context) const override {
    context.file()->resize(context.size());
    return std::make_unique<AnyImage>(context.file());
  }
};

}  // namespace

const FormatDriver& toy_driver() {
  static const ToyDriver kDriver;
  return kDriver;
}

const FormatDriver& twin_driver() {
  static const TwinDriver kDriver;
  return kDriver;
}

const FormatDriver& any_driver() {
  static const AnyDriver kDriver;
  return kDriver;
}

}  // namespace varve::test
