#include "support/storages.h"

#include <algorithm>

namespace varve::test {

// ---- recording ---------------------------------------------------------------------------------

uint32_t EventLog::file(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto found = std::find(files_.begin(), files_.end(), name);
  const auto index = static_cast<uint32_t>(found - files_.begin());
  if (found == files_.end()) {
    files_.push_back(name);
    epochs_.push_back(0);
  }
  return index;
}

void EventLog::add(StorageEvent event) {
  const std::lock_guard lock(mutex_);
  event.epoch = epochs_.at(event.file);
  if (event.kind == StorageEvent::Kind::flush) ++epochs_.at(event.file);
  events_.push_back(std::move(event));
}

std::vector<StorageEvent> EventLog::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

std::vector<std::string> EventLog::files() const {
  const std::lock_guard lock(mutex_);
  return files_;
}

size_t EventLog::size() const {
  const std::lock_guard lock(mutex_);
  return events_.size();
}

size_t EventLog::count(StorageEvent::Kind kind) const {
  const std::lock_guard lock(mutex_);
  return static_cast<size_t>(std::count_if(events_.begin(), events_.end(), [&](const StorageEvent& e) { return e.kind == kind; }));
}

void EventLog::clear() {
  const std::lock_guard lock(mutex_);
  events_.clear();
  std::fill(epochs_.begin(), epochs_.end(), 0);
}

RecordingStorage::RecordingStorage(std::shared_ptr<Storage> below, std::shared_ptr<EventLog> log)
    : PassingStorage(std::move(below)), log_(std::move(log)), file_(log_->file(below_->name())) {}

void RecordingStorage::write_at(uint64_t offset, ConstBytes data) {
  below_->write_at(offset, data);
  log_->add({StorageEvent::Kind::write, file_, offset, data.size(), 0, {data.begin(), data.end()}});
}

void RecordingStorage::flush() {
  below_->flush();
  log_->add({StorageEvent::Kind::flush, file_, 0, 0, 0, {}});
}

void RecordingStorage::resize(uint64_t size) {
  below_->resize(size);
  log_->add({StorageEvent::Kind::resize, file_, size, 0, 0, {}});
}

bool RecordingStorage::punch_hole(uint64_t offset, uint64_t length) {
  if (!below_->punch_hole(offset, length)) return false;
  log_->add({StorageEvent::Kind::punch, file_, offset, length, 0, {}});
  return true;
}

void replay(const StorageEvent& event, Storage& onto) {
  switch (event.kind) {
    case StorageEvent::Kind::write: onto.write_at(event.offset, event.data); break;
    case StorageEvent::Kind::resize: onto.resize(event.offset); break;
    case StorageEvent::Kind::punch: static_cast<void>(onto.punch_hole(event.offset, event.length)); break;
    case StorageEvent::Kind::flush:
    case StorageEvent::Kind::publish: break;
  }
}

// ---- failing -----------------------------------------------------------------------------------

namespace {

constexpr uint64_t kSectorSize = 512;

Error injected(const FaultPlan& plan, Hit call, const std::string& name) {
  const bool no_space = plan.kind() == FaultKind::no_space && (call == Hit::write || call == Hit::resize || call == Hit::create);
  return Error(no_space ? Errc::no_space : Errc::io, "injected fault").in(name);
}

bool matches(Hit hit, Hit call) {
  if (hit == Hit::space) return call == Hit::write || call == Hit::resize || call == Hit::create;
  return hit == Hit::any || hit == call;
}

bool hits_kind(FaultKind kind, Hit call) {
  if (kind == FaultKind::flipped_bit) return call == Hit::read;
  if (kind == FaultKind::lost_write) return call == Hit::write;
  return true;
}

}  // namespace

bool FaultPlan::strikes(Hit call, uint64_t bytes) {
  if (!matches(hit_, call) || !hits_kind(kind_, call)) return false;
  const uint64_t number = calls_.fetch_add(1);
  if (number != at_ && !(sticky_ && number > at_)) return false;
  struck_ = true;
  struck_bytes_ = bytes;
  if (call == Hit::flush) flush_failed_ = true;
  return true;
}

uint64_t FaultyStorage::size() const {
  if (plan_->strikes(Hit::size)) throw injected(*plan_, Hit::size, name());
  return below_->size();
}

void FaultyStorage::read_at(uint64_t offset, MutableBytes out) {
  const bool strikes = plan_->strikes(Hit::read, out.size());
  if (strikes && plan_->kind() != FaultKind::flipped_bit) throw injected(*plan_, Hit::read, name());
  below_->read_at(offset, out);
  if (strikes && !out.empty()) out[out.size() / 2] ^= std::byte{0x10};
}

void FaultyStorage::write_at(uint64_t offset, ConstBytes data) {
  if (!plan_->strikes(Hit::write, data.size())) {
    below_->write_at(offset, data);
    return;
  }
  if (plan_->kind() == FaultKind::lost_write) return;
  if (plan_->kind() == FaultKind::torn_write) {
    const uint64_t middle = (offset + data.size() / 2) / kSectorSize * kSectorSize;
    if (middle > offset) below_->write_at(offset, data.first(static_cast<size_t>(middle - offset)));
  }
  throw injected(*plan_, Hit::write, name());
}

void FaultyStorage::flush() {
  if (plan_->strikes(Hit::flush)) throw injected(*plan_, Hit::flush, name());
  below_->flush();
}

void FaultyStorage::resize(uint64_t size) {
  if (plan_->strikes(Hit::resize)) throw injected(*plan_, Hit::resize, name());
  below_->resize(size);
}

bool FaultyStorage::punch_hole(uint64_t offset, uint64_t length) {
  if (plan_->strikes(Hit::punch)) throw injected(*plan_, Hit::punch, name());
  return below_->punch_hole(offset, length);
}

// ---- file systems --------------------------------------------------------------------------------

class WrappingFileSystem::Pending final : public PendingFile {
 public:
  Pending(WrappingFileSystem& owner, std::string path, std::unique_ptr<PendingFile> below)
      : owner_(owner), path_(std::move(path)), below_(std::move(below)), storage_(owner.wrap_(below_->storage())) {}
  const std::shared_ptr<Storage>& storage() const override { return storage_; }
  void publish(Naming naming) override {
    owner_.before(Hit::publish, path_);
    below_->publish(naming);
    owner_.published(path_);
  }
  void withdraw() noexcept override { below_->withdraw(); }

 private:
  WrappingFileSystem& owner_;
  const std::string path_;
  const std::unique_ptr<PendingFile> below_;
  const std::shared_ptr<Storage> storage_;
};

std::shared_ptr<Storage> WrappingFileSystem::open(const std::string& path, const FileOpen& how) {
  before(Hit::open, path);
  return wrap_(below_.open(path, how));
}

std::shared_ptr<Storage> WrappingFileSystem::open_beneath(const std::string& directory, const std::string& name, const FileOpen& how) {
  before(Hit::open, name);
  return wrap_(below_.open_beneath(directory, name, how));
}

std::unique_ptr<PendingFile> WrappingFileSystem::create(const std::string& path, const FileCreate& how) {
  before(Hit::create, path);
  return std::make_unique<Pending>(*this, path, below_.create(path, how));
}

RecordingFileSystem::RecordingFileSystem(FileSystem& below, std::shared_ptr<EventLog> log)
    : WrappingFileSystem(below,
                         [log](std::shared_ptr<Storage> storage) { return std::make_shared<RecordingStorage>(std::move(storage), log); }),
      log_(log) {}

void RecordingFileSystem::published(const std::string& path) { log_->add({StorageEvent::Kind::publish, log_->file(path), 0, 0, 0, {}}); }

FaultyFileSystem::FaultyFileSystem(FileSystem& below, std::shared_ptr<FaultPlan> plan)
    : WrappingFileSystem(below,
                         [plan](std::shared_ptr<Storage> storage) { return std::make_shared<FaultyStorage>(std::move(storage), plan); }),
      plan_(plan) {}

void FaultyFileSystem::before(Hit call, const std::string& path) {
  if (plan_->strikes(call)) throw injected(*plan_, call, path);
}

}  // namespace varve::test
