// A conversion with options of any kind: the result equals its source, or an error comes out and no file is left.
#include <algorithm>

#include "data_producer.h"
#include "io/memory_file_system.h"
#include "target.h"
#include "varve/ops.h"

namespace varve::fuzz {

const char* const kTargetName = "convert_params";

namespace {

constexpr uint64_t kMaxSource = 1 << 20;

/// A source of a few runs of data and holes.
void make_source(MemoryFileSystem& files, DataProducer& numbers) {
  auto source = files.add("dir/source.raw");
  source->resize(numbers.between(0, kMaxSource / 512) * 512 + (numbers.byte() % 16 == 0 ? 77 : 0));
  for (unsigned runs = numbers.byte() % 8; runs > 0 && source->size() > 0; --runs) {
    const uint64_t offset = numbers.between(0, source->size() - 1);
    const uint64_t length = std::min<uint64_t>(source->size() - offset, numbers.between(1, 150000));
    source->write_at(offset, std::vector<std::byte>(static_cast<size_t>(length), static_cast<std::byte>(numbers.byte())));
  }
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

}  // namespace

void run(std::span<const uint8_t> input) {
  DataProducer numbers(input);
  MemoryFileSystem files;
  make_source(files, numbers);
  const std::vector<const FormatInfo*> all = formats();
  const FormatInfo& target = *all[numbers.byte() % all.size()];
  const ConvertOptions how = options_for(files, target, numbers);
  const std::vector<std::byte> before = files.find("dir/source.raw")->contents();
  const int code = only_errors([&] { convert("dir/source.raw", "dir/new", how); });
  require(files.find("dir/source.raw")->contents() == before, "the source changed");
  if (code != 0) {
    require(files.paths().size() == 1, "a failed conversion left a file");
    return;
  }
  OpenOptions open;
  open.file_system = &files;
  open.format = std::string(target.name);
  Image made = Image::open("dir/new", open);
  open.format = "raw";
  Image source = Image::open("dir/source.raw", open);
  require(compare(source, made).same, "the result differs from its source");
  require(!made.format().can.check || made.check({}).clean(), "the result is not clean");
}

}  // namespace varve::fuzz
