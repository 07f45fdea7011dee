#include "image/contexts.h"

#include <algorithm>

#include "base/random.h"
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
      how_{how.force, how.mode, how.durable},
      limits_(how.limits),
      file_system_(file_system),
      random_(how.random != nullptr ? *how.random : system_random()),
      warnings_(std::move(warnings)) {}

const std::shared_ptr<Storage>& ImageCreateContext::file() {
  if (stream_ != nullptr) return stream_;
  if (main_ == nullptr) main_ = file_system_.create(path_, how_);
  return main_->storage();
}

std::shared_ptr<Storage> ImageCreateContext::add_file(const std::string& name) {
  if (stream_ != nullptr) throw Error(Errc::unsupported, "this kind of image has several files").hint("write it to a file, not to a pipe");
  const size_t slash = path_.rfind('/');
  const std::string directory = slash == std::string::npos ? "" : path_.substr(0, slash + 1);
  further_.push_back(file_system_.create(directory + name, how_));
  return further_.back()->storage();
}

void ImageCreateContext::publish() {
  for (const auto& pending : further_) pending->storage()->flush();
  file()->flush();
  try {
    // The directory is waited for once for all further files, which may be a thousand, and then for the file that names them.
    for (const auto& pending : further_) pending->publish(&pending == &further_.back() ? Naming::durable : Naming::pending);
    if (main_ != nullptr) main_->publish();
  } catch (...) {
    if (main_ != nullptr) main_->withdraw();
    for (const auto& pending : further_) pending->withdraw();
    throw;
  }
}

}  // namespace varve
