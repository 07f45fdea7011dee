#include "image/contexts.h"

#include <algorithm>

#include "io/references.h"

namespace varve {

void Warnings::add(const std::string& line) {
  const std::lock_guard lock(mutex_);
  if (kept_.size() < kMaxKept) kept_.push_back(line);
  if (show_) show_(line);
}

std::vector<std::string> Warnings::kept() const {
  const std::lock_guard lock(mutex_);
  return kept_;
}

ImageOpenContext::ImageOpenContext(Host host, std::shared_ptr<Storage> file, const Limits& limits, Warnings& warnings)
    : host_(host), file_(guarded(std::move(file))), limits_(limits), warnings_(warnings) {}

std::shared_ptr<Storage> ImageOpenContext::guarded(std::shared_ptr<Storage> file) const {
  return writable() ? std::make_shared<FlushGuard>(std::move(file), flush_failed_) : std::move(file);
}

std::shared_ptr<Storage> ImageOpenContext::open_reference(const std::string& name, bool device) {
  return guarded(varve::open_reference(*host_.file_system, path(), name, host_.references, device, host_.how));
}

ImageCreateContext::ImageCreateContext(std::string path, uint64_t size, OptionValues options, const CreateOptions& how,
                                       FileSystem& file_system, std::shared_ptr<Warnings> warnings)
    : path_(std::move(path)),
      size_(size),
      options_(std::move(options)),
      secret_(how.secret),
      how_{how.force, how.mode, how.durable, how.cache},
      limits_(how.limits),
      file_system_(file_system),
      random_(random_of(how.random)),
      warnings_(std::move(warnings)) {}

ImageCreateContext::Unpublished ImageCreateContext::create(const std::string& path) const {
  std::unique_ptr<PendingFile> file = file_system_.create(path, how_);
  auto guarded = std::make_shared<FlushGuard>(file->storage(), flush_failed_);
  return {std::move(file), std::move(guarded)};
}

const std::shared_ptr<Storage>& ImageCreateContext::file() {
  if (stream_ != nullptr) return stream_;
  if (main_.file == nullptr) main_ = create(path_);
  return main_.guarded;
}

std::shared_ptr<Storage> ImageCreateContext::add_file(const std::string& name) {
  if (stream_ != nullptr) throw Error(Errc::unsupported, "this kind of image has several files").hint("write it to a file, not to a pipe");
  const size_t slash = path_.rfind('/');
  const std::string directory = slash == std::string::npos ? "" : path_.substr(0, slash + 1);
  further_.push_back(create(directory + name));
  return further_.back().guarded;
}

void ImageCreateContext::publish() {
  for (const Unpublished& one : further_) one.guarded->flush();
  file()->flush();
  try {
    // The directory is waited for once for all further files, which may be a thousand, and then for the file that names them.
    for (const Unpublished& one : further_) one.file->publish(&one == &further_.back() ? Naming::durable : Naming::pending);
    if (main_.file != nullptr) main_.file->publish();
  } catch (...) {
    if (main_.file != nullptr) main_.file->withdraw();
    for (const Unpublished& one : further_) one.file->withdraw();
    throw;
  }
}

}  // namespace varve
