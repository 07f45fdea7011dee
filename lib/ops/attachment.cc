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

uint64_t size_of(Image& image, const AttachmentKey& key) {
  for (const AttachmentInfo& info : image.attachments())
    if (!info.of_branch_point && info.key.name == key.name && info.key.snapshot == key.snapshot) return info.size;
  image.read_attachment(key, 0, {});  // says what is missing
  throw Error(Errc::not_found, "there is no such attachment").in(image.node().path());
}

}  // namespace

uint64_t extract_attachment(Image& image, const AttachmentKey& key, const std::string& path, const ExtractOptions& options) {
  const uint64_t size = size_of(image, key);
  if (size > options.most)
    throw Error(Errc::limit, "the attachment has " + std::to_string(size) + " bytes, more than allowed")
        .in(path)
        .hint("raise --max-output-bytes");
  FileSystem& files = file_system_of(options.file_system);
  FileCreate how{options.force, {}, options.durable};
  if (const auto mode = files.open(image.info().files.front(), {.lock = false})->mode()) how.mode = *mode & 0666;
  const std::unique_ptr<PendingFile> file = files.create(path, how);
  file->storage()->resize(size);
  ProgressMeter progress(options.progress, size);
  std::vector<std::byte> buffer(std::min(size, kPiece));
  for (uint64_t at = 0; at < size;) {
    if (options.cancel != nullptr) options.cancel->check();
    const MutableBytes part = MutableBytes(buffer).first(std::min<uint64_t>(buffer.size(), size - at));
    image.read_attachment(key, at, part);
    if (!is_zero(part)) file->storage()->write_at(at, part);
    at += part.size();
    progress.add(part.size());
  }
  if (options.cancel != nullptr) options.cancel->check();
  file->storage()->flush();
  file->publish();
  progress.finish();
  return size;
}

}  // namespace varve
