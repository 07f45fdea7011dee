// `varve convert`: opens or creates both ends, copies, and publishes or gives up the target.
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "image/chain.h"
#include "image/registry.h"
#include "io/fd_stream.h"
#include "ops/copy.h"
#include "ops/copy_changes.h"
#include "ops/output_limit.h"
#include "varve/ops.h"

namespace varve {

namespace {

using ops::CopySource;

constexpr const char* kStream = "-";

/// What a driver that reads a stream is given.
class StreamContext final : public DriverContext {
 public:
  explicit StreamContext(const OpenOptions& options)
      : limits_(options.limits), random_(random_of(options.random)), warnings_(options.warn) {}
  const std::string& path() const override { return path_; }
  const Limits& limits() const override { return limits_; }
  void warn(const std::string& line) override { warnings_.add(line); }
  RandomSource& random() override { return random_; }

 private:
  const std::string path_ = "<stdin>";
  const Limits limits_;
  RandomSource& random_;
  Warnings warnings_;
};

/// The source, whichever kind it is.
struct Source {
  std::unique_ptr<Image> image;
  std::unique_ptr<StreamContext> context;
  std::unique_ptr<StreamReader> stream;
  std::unique_ptr<CopySource> copied;

  uint64_t size() const { return copied->size(); }
  Image* as_image() { return image.get(); }
};

Source open_stream_source(const ConvertOptions& options) {
  if (options.source_format.empty())
    throw Error(Errc::invalid_argument, "the format of standard input is not known").hint("name it with -f");
  const FormatDriver& driver = driver_named(options.source_format);
  Source source;
  source.context = std::make_unique<StreamContext>(options.open);
  const std::string& path = source.context->path();
  try {
    source.stream = driver.open_stream(std::make_shared<FdByteSource>(STDIN_FILENO, path, options.copy.cancel), *source.context);
  } catch (Error& error) {
    error.add_path(path);
    throw;
  }
  if (source.stream->size() > options.open.limits.virtual_size)
    throw Error(Errc::limit, "the disk has " + std::to_string(source.stream->size()) + " bytes, more than allowed").in(path);
  source.copied = std::make_unique<ops::StreamSource>(*source.stream, path);
  return source;
}

Source open_source(const std::string& path, const ConvertOptions& options) {
  if (path == kStream) return open_stream_source(options);
  OpenOptions how = options.open;
  how.access = Access::read_only;
  how.format = options.source_format;
  Source source;
  source.image = std::make_unique<Image>(Image::open(path, how));
  source.copied = std::make_unique<ops::ImageSource>(*source.image, options.copy.cancel);
  return source;
}

std::string target_format(const std::string& path, const ConvertOptions& options) {
  if (!options.target_format.empty()) return std::string(format_named(options.target_format).name);
  if (options.into_existing)
    throw Error(Errc::invalid_argument, "the format of an existing target must be named").in(path).hint("name it with -O");
  const FormatInfo* const format = path == kStream ? nullptr : format_of_path(path);
  if (format == nullptr)
    throw Error(Errc::invalid_argument, "the target's format can't be told from its name").in(path).hint("name it with -O");
  return std::string(format->name);
}

/// The files of the source: of all layers, as far as they can be named.
std::vector<StorageId> ids_of(const Image& source, FileSystem& files) {
  std::vector<StorageId> ids;
  for (const ImageInfo& layer : source.chain()) {
    for (const std::string& name : layer.files) {
      try {
        if (const auto id = files.open(name, {.lock = false})->id()) ids.push_back(*id);
      } catch (const Error& error) {
        if (error.code() == Errc::io) throw;
        continue;  // gone in the meantime: the locks protect it
      }
    }
  }
  return ids;
}

void refuse_same_file(const Source& source, const std::string& target, const ConvertOptions& options) {
  if (!source.image || target == kStream) return;
  FileSystem& target_files = file_system_of(options.create.file_system);
  std::optional<StorageId> id;
  try {
    id = target_files.open(target, {.lock = false})->id();
  } catch (const Error& error) {
    if (error.code() == Errc::io) throw;  // it may be there all the same
    return;                               // no such file, as it should be; what else is wrong shows when it is opened in earnest
  }
  if (!id) return;
  const std::vector<StorageId> ids = ids_of(*source.image, file_system_of(options.open.file_system));
  if (std::find(ids.begin(), ids.end(), *id) != ids.end())
    throw Error(Errc::invalid_argument, "source and target are the same file").in(target).hint("name another target");
}

/// No wider than that of any file of the source (CRY-6).
std::optional<uint32_t> target_mode(const Source& source, const std::string& path, const ConvertOptions& options) {
  if (!source.image) return options.create.mode;
  FileSystem& files = file_system_of(options.open.file_system);
  std::optional<uint32_t> mode = files.open(path, {.lock = false})->mode();
  for (const ImageInfo& layer : source.image->chain())
    for (const std::string& name : layer.files)
      if (const auto one = files.open(name, {.lock = false})->mode()) mode = mode.value_or(0666) & *one;
  if (!mode) return options.create.mode;
  return options.create.mode ? *options.create.mode & *mode : *mode & 0666;
}

Image open_existing(const std::string& path, const std::string& format, const ConvertOptions& options) {
  OpenOptions how;
  how.access = Access::read_write;
  how.format = format;
  how.secret = options.create.secret;
  how.references = options.create.references;
  how.durable = options.create.durable;
  how.cache = options.create.cache;
  how.limits = options.create.limits;
  how.warn = options.create.warn;
  how.file_system = options.create.file_system;
  how.random = options.create.random;
  Image target = Image::open(path, how);
  if (options.copy.target_is_zero && target.info().encrypted)
    throw Error(Errc::invalid_argument, "an encrypted target never reads as zeros").in(path).hint("leave out --target-is-zero");
  return target;
}

Image create_target(const std::string& path, const std::string& format, uint64_t size, const CreateOptions& how,
                    const CancelToken* cancel) {
  const FormatDriver& driver = driver_named(format);
  std::shared_ptr<Storage> pipe;
  if (path == kStream) {
    if (!driver.info().can.stream_out)
      throw Error(Errc::unsupported, "format " + format + " can't be written to a pipe").hint("write it to a file");
    pipe = std::make_shared<PipeStorage>(STDOUT_FILENO, "<stdout>", cancel);
    if (how.limits.output_bytes != UINT64_MAX) pipe = ops::limit_output(std::move(pipe), how.limits.output_bytes);
  }
  return Image(create_node(path == kStream ? "<stdout>" : path, driver, size, how, std::move(pipe)));
}

/// What has changed since a snapshot makes sense over that snapshot only.
void require_parent_is_source(Source& source, Image& target, const ConvertOptions& options) {
  const std::vector<ImageInfo> layers = target.chain();
  FileSystem& files = file_system_of(options.open.file_system);
  const auto id_of = [&](const ImageInfo& layer) { return files.open(layer.files.front(), {.lock = false})->id(); };
  if (layers.size() > 1 && source.image && id_of(layers[1]) == id_of(source.image->info())) return;
  throw Error(Errc::invalid_argument, "the parent of what changed since a snapshot must be the image that has it")
      .in(options.create.parent);
}

CopyReport copy_into(Source& source, Image target, const ConvertOptions& options) {
  try {
    if (!options.since.empty()) require_parent_is_source(source, target, options);
    const CopyReport report = options.since.empty() ? ops::copy(*source.copied, source.as_image(), target, options.copy)
                                                    : ops::copy_changes(*source.image, options.since, target, options.copy);
    if (options.copy.cancel != nullptr) options.copy.cancel->check();
    target.close();
    return report;
  } catch (...) {
    target.abort();
    throw;
  }
}

}  // namespace

CopyReport convert(const std::string& source_path, const std::string& target_path, const ConvertOptions& given) {
  ConvertOptions options = given;
  const std::string format = target_format(target_path, options);
  if (!options.since.empty()) options.create.parent_snapshot = options.since;
  // Before the source is opened, which may be the parent.
  if (!options.into_existing && target_path != kStream) hold_parent_of_new(target_path, driver_named(format), options.create);
  Source source = open_source(source_path, options);
  refuse_same_file(source, target_path, options);
  if (source.size() > options.create.limits.virtual_size)
    throw Error(Errc::limit, "the disk has " + std::to_string(source.size()) + " bytes, more than allowed").in(source_path);

  std::unique_ptr<FileSystem> limited;
  if (options.create.limits.output_bytes != UINT64_MAX) {
    limited = ops::limit_output(file_system_of(options.create.file_system), options.create.limits.output_bytes);
    options.create.file_system = limited.get();
  }
  if (options.into_existing) {
    Image target = open_existing(target_path, format, options);
    for (const std::string& file : target.info().files) refuse_same_file(source, file, options);
    return copy_into(source, std::move(target), options);
  }
  options.create.mode = target_mode(source, source_path, options);
  return copy_into(source, create_target(target_path, format, source.size(), options.create, options.copy.cancel), options);
}

}  // namespace varve
