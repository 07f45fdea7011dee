#include "native/native.h"

#include "native/create.h"
#include "native/locked.h"

namespace varve {
namespace native {
namespace {

void warn_of_copies(OpenContext& context, const ImageParts& parts) {
  for (size_t i = 0; i < 2; ++i) {
    if (!parts.headers.faults[i].empty())
      context.warn("copy " + std::to_string(i + 1) + " of the header does not count: " + parts.headers.faults[i] +
                   "; the next writer mends it");
    if (!parts.key_area.faults[i].empty())
      context.warn("copy " + std::to_string(i + 1) + " of the key area does not count: " + parts.key_area.faults[i] +
                   "; the next writer mends it");
  }
  if (!parts.superblocks.fault.empty())
    context.warn("one superblock does not count: " + parts.superblocks.fault + "; if it was the newer one, this is an older state");
}

/// Writes nothing, also if the image is to be written to.
std::unique_ptr<FormatImage> open_image(OpenContext& context) {
  ImageParts parts;
  parts.file = context.file();
  parts.headers = read_headers(*parts.file);
  if (!open_cipher(context, parts)) return open_locked(std::move(parts));
  parts.superblocks = read_superblocks(*parts.file, parts.headers.header, parts.cipher.get());
  finish_cipher(context, parts);
  if (parts.superblocks.current.head.size > context.limits().virtual_size)
    throw Error(Errc::limit, "a disk of " + std::to_string(parts.superblocks.current.head.size) + " bytes is larger than allowed");
  parts.writable = context.writable();
  parts.limits = context.limits();
  parts.random = &context.random();
  parts.snapshot = context.snapshot();
  parts.for_check = context.for_check();
  warn_of_copies(context, parts);
  return std::make_unique<NativeImage>(std::move(parts));
}

class NativeDriver final : public FormatDriver {
 public:
  const FormatInfo& info() const override {
    static const FormatInfo kInfo = [] {
      FormatInfo info;
      info.name = "varve";
      info.description = "this project's own: checksums for life, compression, encryption, a journal";
      info.extensions = {"varve"};
      info.can = {.create = true,
                  .write = true,
                  .parent = true,
                  .zero = true,
                  .discard = true,
                  .resize = true,
                  .check = true,
                  .repair = true,
                  .snapshots = true,
                  .generations = true,
                  .encryption = true};
      info.create_options = create_option_specs();
      return info;
    }();
    return kInfo;
  }
  ProbeResult probe(const ProbeInput& input) const override {
    ProbeResult result;
    result.matches = is_native(input.head);
    result.forgeable = true;  // a guest can write it to the front of a raw disk
    return result;
  }
  std::unique_ptr<FormatImage> open(OpenContext& context) const override { return open_image(context); }
  std::unique_ptr<FormatImage> create(CreateContext& context) const override { return create_image(context); }
  uint64_t measure(const OptionValues& options, uint64_t size, const CountUnits& count) const override {
    return measure_image(options, size, count);
  }
};

}  // namespace
}  // namespace native

const FormatDriver& native_driver() {
  static const native::NativeDriver kDriver;
  return kDriver;
}

}  // namespace varve
