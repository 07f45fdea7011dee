// Opening, closing, and what an image tells of itself.
#include <algorithm>
#include <cinttypes>

#include "capi/handles.h"
#include "image/node.h"
#include "varve/format.h"

using namespace varve;

namespace {

/// Of what is known, the value of `key`; else `otherwise`.
uint32_t detail_of(const ImageInfo& info, std::string_view key, uint32_t otherwise) {
  for (const auto& [name, value] : info.details)
    if (const auto* const number = std::get_if<uint64_t>(&value); number != nullptr && name == key) return static_cast<uint32_t>(*number);
  return otherwise;
}

varve_limits limits_of(const Image& image, bool direct) {
  constexpr uint32_t kDirectAlignment = 4096;
  constexpr uint64_t kLeastBest = 4096;
  constexpr uint64_t kMostBest = uint64_t{1} << 20;
  const ImageInfo info = image.info();
  varve_limits limits = {};
  limits.logical_sector = detail_of(info, "logical_sector_size", 512);
  limits.physical_sector = std::max(detail_of(info, "physical_sector_size", 4096), limits.logical_sector);
  if (image.format().can.discard)
    limits.discard_granularity = static_cast<uint32_t>(std::max<uint64_t>(image.node().image().granularity(), limits.logical_sector));
  limits.best_request = static_cast<uint32_t>(std::clamp<uint64_t>(info.cluster_size, kLeastBest, kMostBest));
  limits.memory_alignment = direct ? kDirectAlignment : 1;
  limits.queue_depth = Queue::kMostDepth;
  limits.largest_request = uint64_t{1} << 30;
  return limits;
}

std::string text_of(const InfoValue& value) {
  if (const auto* const truth = std::get_if<bool>(&value)) return *truth ? "true" : "false";
  if (const auto* const number = std::get_if<uint64_t>(&value)) return std::to_string(*number);
  return std::get<std::string>(value);
}

void show_info(const ImageInfo& info, varve_info_fn* show, void* user) {
  const auto tell = [&](const char* key, const std::string& value) { show(user, key, value.c_str()); };
  tell("format", info.format);
  tell("path", info.path);
  if (!info.locked) tell("virtual_size", std::to_string(info.virtual_size));
  if (info.allocated_bytes) tell("allocated_bytes", std::to_string(*info.allocated_bytes));
  if (info.cluster_size != 0) tell("cluster_size", std::to_string(info.cluster_size));
  tell("encrypted", info.encrypted ? "true" : "false");
  for (const std::string& file : info.files) tell("file", file);
  if (info.parent) {
    tell("parent", info.parent->name);
    tell("parent_format", info.parent->format);
    tell("parent_identity", info.parent->identity);
  }
  for (const auto& [key, value] : info.details) tell(key.c_str(), text_of(value));
  for (const std::string& warning : info.warnings) tell("warning", warning);
}

void hand_over(varve_image*& out, std::unique_ptr<FileSystem> files, Image image, const varve_options* options) {
  auto handle = std::make_unique<varve_image>(std::move(files), std::move(image), capi::engine_options(options));
  handle->direct = options->open.cache == Cache::none;
  out = handle.release();
}

bool can(const FormatInfo& format, std::string_view what) {
  const FormatCapabilities& c = format.can;
  const std::pair<std::string_view, bool> table[] = {
      {"create", c.create}, {"write", c.write}, {"parent", c.parent}, {"zero", c.zero},           {"discard", c.discard},
      {"resize", c.resize}, {"check", c.check}, {"repair", c.repair}, {"snapshots", c.snapshots}, {"encryption", c.encryption}};
  return std::any_of(std::begin(table), std::end(table), [&](const auto& row) { return row.first == what && row.second; });
}

bool has_feature(std::string_view name) {
  constexpr std::string_view kFormat = "format:";
  if (!name.starts_with(kFormat)) {
    constexpr std::string_view kFeatures[] = {"queues", "encryption", "snapshots", "direct-io", "convert"};
    return std::find(std::begin(kFeatures), std::end(kFeatures), name) != std::end(kFeatures);
  }
  name.remove_prefix(kFormat.size());
  const size_t colon = name.find(':');
  for (const FormatInfo* format : formats())
    if (format->name == name.substr(0, colon)) return colon == std::string_view::npos || can(*format, name.substr(colon + 1));
  return false;
}

}  // namespace

uint64_t varve_version(void) {
  return uint64_t{VARVE_VERSION_MAJOR} << 32 | uint64_t{VARVE_VERSION_MINOR} << 16 | uint64_t{VARVE_VERSION_PATCH};
}

const char* varve_version_string(void) { return VARVE_VERSION; }

int varve_has_feature(const char* name) {
  int has = 0;
  static_cast<void>(capi::guarded(nullptr, [&] { has = name != nullptr && has_feature(name) ? 1 : 0; }));
  return has;
}

int varve_open(const char* path, const varve_options* options, varve_image** image, varve_error** error) {
  return capi::guarded(error, [&] {
    varve_image*& place = capi::place_of(image);
    hand_over(place, nullptr, Image::open(&capi::required(path, "the path"), capi::open_options(options)), options);
  });
}

int varve_open_storage(varve_storage* storage, const varve_options* options, varve_image** image, varve_error** error) {
  return capi::guarded(error, [&] {
    varve_image*& place = capi::place_of(image);
    const std::shared_ptr<Storage>& file = capi::usable(storage);
    OpenOptions how = capi::open_options(options);
    std::unique_ptr<FileSystem> files = capi::files_around(file, *options);
    how.file_system = files.get();
    Image opened = Image::open(file->name(), how);
    hand_over(place, std::move(files), std::move(opened), options);
  });
}

int varve_create(const char* path, uint64_t size, const varve_options* options, varve_image** image, varve_error** error) {
  return capi::guarded(error, [&] {
    varve_image*& place = capi::place_of(image);
    const CreateOptions how = capi::create_options(options);
    const std::optional<uint64_t> wanted = size == UINT64_MAX ? std::nullopt : std::optional(size);
    hand_over(place, nullptr, Image::create(&capi::required(path, "the path"), capi::format_of(options), wanted, how), options);
  });
}

int varve_create_storage(varve_storage* storage, uint64_t size, const varve_options* options, varve_image** image, varve_error** error) {
  return capi::guarded(error, [&] {
    varve_image*& place = capi::place_of(image);
    const std::shared_ptr<Storage>& file = capi::usable(storage);
    if (file->size() != 0) throw Error(Errc::exists, "the storage is not empty").in(file->name()).hint("give an empty one");
    CreateOptions how = capi::create_options(options);
    std::unique_ptr<FileSystem> files = capi::files_around(file, *options);
    how.file_system = files.get();
    const std::optional<uint64_t> wanted = size == UINT64_MAX ? std::nullopt : std::optional(size);
    Image made = Image::create(file->name(), capi::format_of(options), wanted, how);
    hand_over(place, std::move(files), std::move(made), options);
  });
}

int varve_close(varve_image* image, varve_error** error) {
  return capi::guarded(error, [&] { capi::usable(image).engine.close(); });
}

void varve_free(varve_image* image) { capi::give_back(image); }

uint64_t varve_size(const varve_image* image) { return image != nullptr ? image->engine.size() : 0; }

int varve_is_writable(const varve_image* image) { return image != nullptr && image->image.writable() ? 1 : 0; }

int varve_get_limits(const varve_image* image, varve_limits* limits, varve_error** error) {
  return capi::guarded(error, [&] {
    varve_image& one = capi::usable(image);
    one.engine.shared([&](Image& its) { capi::required(limits, "the limits") = limits_of(its, one.direct); });
  });
}

int varve_info(const varve_image* image, unsigned depth, varve_info_fn* show, void* user, varve_error** error) {
  return capi::guarded(error, [&] {
    std::vector<ImageInfo> layers;
    capi::usable(image).engine.shared([&](Image& one) { layers = one.chain(); });
    if (depth >= layers.size()) throw Error(Errc::not_found, "the image has no layer " + std::to_string(depth));
    show_info(layers[depth], &capi::required(show, "the function"), user);
  });
}
