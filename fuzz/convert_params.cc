// A conversion with options of any kind, into a new image, a child or an existing image: the result equals its source, or an error comes
// out and no file is left.
#include <algorithm>

#include "data_producer.h"
#include "io/memory_file_system.h"
#include "target.h"
#include "varve/ops.h"

namespace varve::fuzz {

const char* const kTargetName = "convert_params";

namespace {

constexpr const char* kSource = "dir/source.raw";
constexpr const char* kParent = "dir/base.vmdk";
constexpr const char* kTarget = "dir/new";
constexpr uint64_t kMaxSmall = 1 << 20;
constexpr uint64_t kSplit = uint64_t{2047} << 20;  // an extent of a split VMDK

void write_runs(DataProducer& numbers, uint64_t size, const std::function<void(uint64_t, ConstBytes)>& write) {
  for (unsigned runs = numbers.byte() % 8; runs > 0 && size > 0; --runs) {
    // Of a large disk mostly about the border of an extent.
    const uint64_t center = size > kSplit && numbers.boolean() ? kSplit - std::min(kSplit, kMaxSmall / 2) : 0;
    const uint64_t offset = center + numbers.between(0, std::min(size - center, kMaxSmall) - 1);
    const uint64_t length = std::min<uint64_t>(size - offset, numbers.between(1, 150000));
    write(offset, std::vector<std::byte>(static_cast<size_t>(length), static_cast<std::byte>(numbers.byte())));
  }
}

/// A source of a few runs of data and holes.
uint64_t make_source(MemoryFileSystem& files, DataProducer& numbers) {
  const uint64_t small = numbers.between(0, kMaxSmall / 512) * 512 + (numbers.byte() % 16 == 0 ? 77 : 0);
  const uint64_t size = numbers.byte() % 8 == 0 ? numbers.between(1, 2) * kSplit + small : small;
  auto source = files.add(kSource);
  source->resize(size);
  write_runs(numbers, size, [&](uint64_t offset, ConstBytes data) { source->write_at(offset, data); });
  return size;
}

void make_parent(MemoryFileSystem& files, DataProducer& numbers, uint64_t size) {
  CreateOptions how;
  how.file_system = &files;
  Image parent = Image::create(kParent, "vmdk", std::max<uint64_t>(size / 512, 1) * 512, how);
  write_runs(numbers, parent.size(), [&](uint64_t offset, ConstBytes data) { parent.write_at(offset, data); });
  parent.close();
}

ConvertOptions options_for(MemoryFileSystem& files, const FormatInfo& target, DataProducer& numbers) {
  ConvertOptions how;
  how.source_format = "raw";
  how.target_format = std::string(target.name);
  how.open.file_system = &files;
  how.create.file_system = &files;
  how.copy.threads = static_cast<unsigned>(numbers.between(1, 3));
  if (numbers.byte() % 8 == 0) how.create.limits.output_bytes = numbers.number(3);
  if (numbers.byte() % 16 == 0) how.open.limits.virtual_size = numbers.number(3);
  for (const OptionSpec& spec : target.create_options) {
    if (spec.name == "preset" || numbers.byte() % 3 != 0) continue;
    if (spec.type == OptionType::choice) how.create.options.emplace(spec.name, spec.choices[numbers.byte() % spec.choices.size()]);
    if (spec.type == OptionType::boolean) how.create.options.emplace(spec.name, numbers.boolean() ? "on" : "off");
    if (spec.type == OptionType::size) how.create.options.emplace(spec.name, std::to_string(uint64_t{4096} << (numbers.byte() % 9)));
  }
  return how;
}

/// False if there can be no such target.
bool make_target(ConvertOptions& how, DataProducer& numbers, uint64_t size) {
  CreateOptions create = how.create;
  create.limits = {};
  const uint64_t target_size = size + numbers.between(0, 3) * 70000 / 512 * 512;
  const int code = only_errors([&] {
    Image target = Image::create(kTarget, how.target_format, target_size, create);
    only_errors([&] {  // some are written by conversions only
      write_runs(numbers, target.size(), [&](uint64_t offset, ConstBytes data) { target.write_at(offset, data); });
    });
    target.close();
  });
  how.into_existing = true;
  return code == 0;
}

void expect_equal(MemoryFileSystem& files, const std::string& format) {
  OpenOptions open;
  open.file_system = &files;
  open.format = format;
  Image made = Image::open(kTarget, open);
  open.format = "raw";
  Image source = Image::open(kSource, open);
  require(compare(source, made).same, "the result differs from its source");
  require(!made.format().can.check || made.check({}).damages == 0, "the result is damaged");
}

}  // namespace

void run(std::span<const uint8_t> input) {
  DataProducer numbers(input);
  MemoryFileSystem files;
  const uint64_t size = make_source(files, numbers);
  const std::vector<const FormatInfo*> all = formats();
  const FormatInfo& target = *all[numbers.byte() % all.size()];
  ConvertOptions how = options_for(files, target, numbers);
  if (target.can.parent && numbers.byte() % 4 == 0) {
    make_parent(files, numbers, size);
    how.create.parent = "base.vmdk";
  }
  if (numbers.byte() % 4 == 0 && !make_target(how, numbers, size)) return;
  const size_t before = files.paths().size();
  const int code = only_errors([&] { convert(kSource, kTarget, how); });
  if (code == 0) return expect_equal(files, how.target_format);
  require(files.paths().size() == before, "a failed conversion left a file");
}

}  // namespace varve::fuzz
