#include "faults/session.h"

#include <algorithm>
#include <array>

#include "native/reachable.h"
#include "support/heap.h"
#include "support/image_kit.h"
#include "support/pattern.h"
#include "support/secrets.h"

namespace varve::test {
namespace {

constexpr uint64_t kKiB = 1024;

ShadowDisk shadow(const std::vector<std::byte>& content) {
  ShadowDisk disk(content.size());
  disk.write(0, content);
  return disk;
}

}  // namespace

Session::Session(Bench& bench, const Subject& subject, Steps steps)
    : bench_(bench), subject_(subject), steps_(std::move(steps)), model_(shadow(subject.content)), history_(model_) {}

/// With no fault.
Image Session::open(Access access) const {
  OpenOptions how;
  how.access = access;
  how.format = subject_.format;
  how.secret = test_key();
  how.accept_older_state = true;  // a superblock may be half written
  how.file_system = &bench_.sound();
  return Image::open(bench_.path(subject_.image), how);
}

void Session::run() {
  OpenOptions how;
  how.access = Access::read_write;
  how.format = subject_.format;
  how.secret = test_key();
  how.accept_older_state = true;  // a superblock may be half written
  how.file_system = &bench_.files();
  how.limits.write_buffer = subject_.write_buffer;
  image_ = std::make_unique<Image>(Image::open(bench_.path(subject_.image), how));
  steps_(*this);
  image_.reset();
}

/// A step that changes the image, or makes changes durable.
template <typename Call>
bool Session::change(Call call) {
  const bool too_late = flush_failed_ || bench_.flush_failed();
  const bool done = try_to(call);
  if (done && too_late) wrong_ = "a change worked after a flush had failed";
  return done;
}

void Session::account(bool done, uint64_t offset, uint64_t length) {
  if (done) {
    history_.wrote(now_, now_ + 1, model_, offset, length);
  } else {
    history_.maybe(now_, now_ + 1, model_, offset, length);
  }
  ++now_;
}

void Session::write(uint64_t offset, uint64_t length) {
  if (offset + length > model_.size()) return;  // the disk should have grown
  std::vector<std::byte> data;
  {
    const UncountedAllocations ours;
    data = pattern(subject_.window + offset, generation_++, static_cast<size_t>(length));
  }
  const bool done = change([&] { image_->write_at(subject_.window + offset, data); });
  const UncountedAllocations ours;
  model_.write(offset, data);
  account(done, offset, length);
}

void Session::zero(uint64_t offset, uint64_t length) {
  const bool done = change([&] { image_->zero(subject_.window + offset, length); });
  const UncountedAllocations ours;
  model_.zero(offset, length);
  account(done, offset, length);
}

void Session::discard(uint64_t offset, uint64_t length) {
  change([&] { image_->discard(subject_.window + offset, length); });
  const UncountedAllocations ours;
  history_.maybe(now_, now_ + 1, ShadowDisk(model_.size()), offset, length);
  ++now_;
}

void Session::read(uint64_t offset, uint64_t length) {
  std::vector<std::byte> out;
  {
    const UncountedAllocations ours;
    out.resize(static_cast<size_t>(length));
  }
  try_to([&] { image_->read_at(subject_.window + offset, out); });
}

void Session::flush() {
  const bool done = change([&] { image_->flush(); });
  flush_failed_ = flush_failed_ || !done;
  const UncountedAllocations ours;
  if (done) history_.flushed(now_, now_ + 1);
  ++now_;
}

void Session::grow(uint64_t bytes) {
  const uint64_t old_size = image_->size();
  change([&] { image_->resize(old_size + bytes); });
  const UncountedAllocations ours;
  const bool grown = image_->size() != old_size;
  history_.resized(now_, now_ + 1, model_.size() + bytes);
  if (!grown) history_.resized(now_, now_ + 1, model_.size());  // on the medium it may be either
  if (grown) model_.resize(model_.size() + bytes);
  ++now_;
}

void Session::check(Repair repair) {
  if (!image_->format().can.check) return;
  CheckOptions how;
  how.data = true;
  how.repair = repair;
  try_to([&] { image_->check(how); });
}

void Session::close() {
  const bool done = change([&] { image_->close(); });
  const UncountedAllocations ours;
  if (done) history_.flushed(now_, now_ + 1);
  ++now_;
}

std::string Session::verdict(const Circumstances& how) {
  if (wrong_ != nullptr) return wrong_;
  if (std::string wrong = difference(*subject_.files, bench_.contents(), subject_.own); !wrong.empty()) return wrong;
  if (how.honest) return judge_content(how);
  try {
    // What it holds nobody knows. It must do no harm.
    Image image = open(Access::read_only);
    damages(image);
    constexpr uint64_t kMost = 8192 * kKiB;  // the disk may even have another size now
    const uint64_t window = std::min(subject_.window, image.size());
    std::vector<std::byte> content(static_cast<size_t>(std::min(image.size() - window, kMost)));
    image.read_at(window, content);
  } catch (const Error&) {
    return {};
  }
  return {};
}

std::string Session::judge_content(const Circumstances& circumstances) {
  if (subject_.needs != Repair::none) {
    Image image = open(Access::read_write);
    CheckOptions how;
    how.repair = subject_.needs;
    image.check(how);
    image.close();
  }
  if (std::string wrong = judge_reading(circumstances); !wrong.empty()) return wrong;
  // What is left can be written to like any other image.
  constexpr uint64_t kAt = 65 * kKiB;
  const auto data = pattern(subject_.window + kAt, 9, 1024);
  {
    Image image = open(Access::read_write);
    image.write_at(subject_.window + kAt, data);
    image.close();
  }
  Image image = open(Access::read_only);
  std::vector<std::byte> read(data.size());
  image.read_at(subject_.window + kAt, read);
  if (read != data) return "a write afterwards is not there";
  if (subject_.format == "varve") {
    if (std::string wrong = leaks_of_closed(bench_.sound().open(bench_.path(subject_.image), {})); !wrong.empty()) return wrong;
  }
  std::string found = damages(image, false);
  return found.empty() ? found : "after one more write, check finds " + found;
}

std::string Session::judge_reading(const Circumstances& circumstances) {
  Image image = open(Access::read_only);
  if (std::string found = damages_after(circumstances, image); !found.empty()) return "check finds " + found;
  std::vector<std::byte> content(static_cast<size_t>(image.size() - subject_.window));
  image.read_at(subject_.window, content);
  return history_.verdict(now_ + 1, content);
}

// ---- scripts ---------------------------------------------------------------------------------------

namespace {

void use_all(Session& s) {
  for (uint64_t i = 0; i < 3; ++i) s.write(i * 60 * kKiB, 6 * kKiB);
  s.flush();
  s.write(90 * kKiB, 80 * kKiB);
  s.zero(64 * kKiB, 64 * kKiB);
  s.read(0, 150 * kKiB);
  s.discard(128 * kKiB, 64 * kKiB);
  s.flush();
  s.write(s.size() - 2048, 2048);
  s.check();
  s.close();
}

void write_without_flush(Session& s) {
  for (uint64_t i = 0; i < 6; ++i) s.write(i * 33 * kKiB, 2 * kKiB);
  s.read(0, 64 * kKiB);
  s.close();
  s.close();
}

void flush_each_write(Session& s) {
  for (uint64_t i = 0; i < 5; ++i) {
    s.write(70 * kKiB + i * 16 * kKiB, 4 * kKiB);
    s.flush();
  }
  s.zero(10 * kKiB, 150 * kKiB);
  s.flush();
}

void give_space_up(Session& s) {
  s.zero(0, 128 * kKiB);
  s.discard(128 * kKiB, 64 * kKiB);
  s.flush();
  s.write(20 * kKiB, 100 * kKiB);
  s.discard(0, 64 * kKiB);
  s.write(4 * kKiB, 8 * kKiB);
  s.close();
}

void grow_and_write(Session& s) {
  s.write(100 * kKiB, 4 * kKiB);
  const uint64_t end = s.size();
  s.grow(2048 * kKiB);  // with grains of 4 KiB one table does not reach so far
  s.write(end - 2048, 8 * kKiB);
  s.flush();
  s.write(end + 1900 * kKiB, 4 * kKiB);
  s.grow(512);
  s.close();
}

Script script_of(const Subject& subject, const Usage& usage) {
  return {subject.name + ": " + usage.name, subject.files,
          [&subject, steps = usage.steps](Bench& bench) { return std::make_unique<Session>(bench, subject, steps); }};
}

}  // namespace

const std::vector<Usage>& usages() {
  static const std::vector<Usage> all = {{"write, zero, discard", use_all},
                                         {"writes and a close", write_without_flush},
                                         {"a flush after each write", flush_each_write},
                                         {"zero, discard, write again", give_space_up},
                                         {"grow", grow_and_write}};
  return all;
}

std::vector<Script> session_scripts() {
  std::vector<Script> all;
  for (const Subject& subject : writable_disks()) {
    for (const Usage& usage : usages()) all.push_back(script_of(subject, usage));
  }
  return all;
}

std::vector<Script> repair_scripts() {
  std::vector<Script> all;
  for (const Subject& subject : damaged_disks()) {
    for (const Repair repair : {Repair::safe, Repair::all}) {
      // The handle is used on after a repair that failed.
      const Usage usage = {repair == Repair::safe ? "repair what is safe" : "repair all", [repair](Session& s) {
                             s.check(repair);
                             s.read(0, 64 * kKiB);
                             s.write(64 * kKiB, 4 * kKiB);
                             s.check();
                             s.close();
                           }};
      Script script = script_of(subject, usage);
      script.also = Errc::corrupt;  // nothing is written into what is damaged
      all.push_back(std::move(script));
    }
  }
  return all;
}

}  // namespace varve::test
