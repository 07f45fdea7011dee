// Attachments as files of their own.
#include <algorithm>
#include <vector>

#include "base/zero.h"
#include "exec/progress_meter.h"
#include "image/contexts.h"
#include "image/node.h"
#include "io/file_system.h"
#include "varve/ops.h"

namespace varve {
namespace {

constexpr uint64_t kPiece = uint64_t{1} << 20;

uint64_t size_of(Image& image, const AttachmentKey& key, uint64_t most) {
  for (const AttachmentInfo& info : image.attachments()) {
    if (info.of_branch_point || info.key.name != key.name || info.key.snapshot != key.snapshot) continue;
    if (info.size <= most) return info.size;
    throw Error(Errc::limit, "the attachment '" + key.name + "' has " + std::to_string(info.size) + " bytes, more than allowed")
        .in(image.node().path())
        .hint("raise --max-output-bytes");
  }
  image.read_attachment(key, 0, {});  // says what is missing
  throw Error(Errc::not_found, "there is no attachment '" + key.name + "'").in(image.node().path());
}

/// Calls `use` with each piece and where it begins.
void each_piece(Image& image, const AttachmentKey& key, uint64_t size, const ExtractOptions& options,
                const std::function<void(uint64_t at, ConstBytes piece)>& use) {
  ProgressMeter progress(options.progress, size);
  std::vector<std::byte> buffer(std::min(size, kPiece));
  for (uint64_t at = 0; at < size;) {
    if (options.cancel != nullptr) options.cancel->check();
    const MutableBytes part = MutableBytes(buffer).first(std::min<uint64_t>(buffer.size(), size - at));
    image.read_attachment(key, at, part);
    use(at, part);
    at += part.size();
    progress.add(part.size());
  }
  if (options.cancel != nullptr) options.cancel->check();
  progress.finish();
}

}  // namespace

uint64_t extract_attachment(Image& image, const AttachmentKey& key, const std::function<void(ConstBytes)>& sink,
                            const ExtractOptions& options) {
  const uint64_t size = size_of(image, key, options.most);
  each_piece(image, key, size, options, [&](uint64_t /*at*/, ConstBytes piece) { sink(piece); });
  return size;
}

uint64_t extract_attachment(Image& image, const AttachmentKey& key, const std::string& path, const ExtractOptions& options) {
  const uint64_t size = size_of(image, key, options.most);
  FileSystem& files = file_system_of(options.file_system);
  FileCreate how{options.force, {}, options.durable};
  if (const auto mode = files.open(image.info().files.front(), {.lock = false})->mode()) how.mode = *mode & 0666;
  const std::unique_ptr<PendingFile> file = files.create(path, how);
  const std::shared_ptr<Storage> storage = file->storage();
  storage->resize(size);
  each_piece(image, key, size, options, [&](uint64_t at, ConstBytes piece) {
    if (!is_zero(piece)) storage->write_at(at, piece);
  });
  storage->flush();
  file->publish();
  return size;
}

}  // namespace varve
