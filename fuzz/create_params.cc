// Creation options of any kind: an image appears that opens, has the size that was asked for, reads as zeros and is clean - or nothing
// appears.
#include <array>

#include "base/checked_math.h"
#include "data_producer.h"
#include "io/memory_file_system.h"
#include "target.h"

namespace varve::fuzz {

const char* const kTargetName = "create_params";

namespace {

/// A value for an option: mostly one that its table allows.
std::string value_for(const OptionSpec& spec, DataProducer& numbers) {
  if (numbers.byte() % 8 == 0) return numbers.text(12);
  switch (spec.type) {
    case OptionType::choice: return std::string(spec.choices[numbers.byte() % spec.choices.size()]);
    case OptionType::boolean: return numbers.boolean() ? "on" : "off";
    case OptionType::size: return std::to_string(uint64_t{512} << (numbers.byte() % 16));
    case OptionType::number: return std::to_string(numbers.byte() % 16);
    case OptionType::text: return numbers.text(12);
  }
  return {};
}

OptionMap options_for(const FormatInfo& format, DataProducer& numbers) {
  OptionMap options;
  for (const OptionSpec& spec : format.create_options)
    if (numbers.byte() % 3 == 0) options.emplace(spec.name, value_for(spec, numbers));
  return options;
}

void expect_sound(Image& image, uint64_t asked) {
  // All but raw and varve count in sectors, of 512 or 4096 bytes, and round up.
  const uint64_t size = image.size();
  const bool any = image.format().name == "raw" || image.format().name == "varve";
  const bool whole = any ? size == asked : size == align_up(asked, 512) || size == align_up(asked, 4096);
  require(whole, "the new image has another size");
  require(!image.format().can.check || image.check({}).clean(), "the new image is not clean");
  std::array<std::byte, 512> sector{};
  for (uint64_t i = 0; i < 16 && size >= sector.size(); ++i) {
    image.read_at((size - sector.size()) / 16 * i, sector);
    for (const std::byte b : sector) require(b == std::byte{0}, "the new image does not read as zeros");
  }
}

}  // namespace

void run(std::span<const uint8_t> input) {
  DataProducer numbers(input);
  const std::vector<const FormatInfo*> all = formats();
  const FormatInfo& format = *all[numbers.byte() % all.size()];
  const uint64_t size = numbers.boolean() ? numbers.between(0, 4096) * 512 : numbers.number(5);
  MemoryFileSystem files;
  CreateOptions how;
  how.options = options_for(format, numbers);
  how.file_system = &files;
  const int code = only_errors([&] { Image::create("dir/new", format.name, size, how).close(); });
  if (code != 0) {
    require(files.paths().empty(), "a failed create left a file");
    return;
  }
  OpenOptions open;
  open.format = std::string(format.name);
  open.file_system = &files;
  Image image = Image::open("dir/new", open);
  expect_sound(image, size);
}

}  // namespace varve::fuzz
