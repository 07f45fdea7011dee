// Snapshots, sizes, checks and copies: what concerns an image as a whole.
#include <functional>

#include "capi/handles.h"
#include "varve/ops.h"
#include "varve/text.h"

using namespace varve;

namespace {

/// Between a C function that says when to end and the library's two callbacks.
class Progress {
 public:
  Progress(varve_progress_fn* show, void* user) : show_(show), user_(user) {}
  ProgressFn function() {
    if (show_ == nullptr) return {};
    return [this](uint64_t done, uint64_t total) {
      if (show_(user_, done, total) != 0) cancel_.cancel();
    };
  }
  const CancelToken* cancel() const { return &cancel_; }

 private:
  varve_progress_fn* const show_;
  void* const user_;
  CancelToken cancel_;
};

void show_finding(const Finding& found, varve_finding_fn* show, void* user) {
  const std::string message = escape_text(found.message);
  varve_finding out = {};
  out.message = message.c_str();
  out.file_offset = found.file_offset.value_or(UINT64_MAX);
  out.disk_offset = found.disk_offset.value_or(UINT64_MAX);
  out.disk_length = found.disk_length;
  out.severity = static_cast<uint32_t>(found.severity);
  out.repaired = found.repaired ? 1 : 0;
  show(user, &out);
}

void show_snapshot(const SnapshotInfo& from, varve_snapshot_fn* show, void* user) {
  varve_snapshot out = {};
  out.name = from.name.c_str();
  out.uuid = from.uuid.c_str();
  out.id = from.id;
  out.parent = from.parent;
  out.time = from.time;
  out.virtual_size = from.virtual_size;
  out.exclusive_bytes = from.exclusive_bytes.value_or(UINT64_MAX);
  if (from.current) out.flags |= VARVE_SNAPSHOT_CURRENT;
  if (from.held) out.flags |= VARVE_SNAPSHOT_HELD;
  if (from.branch_point) out.flags |= VARVE_SNAPSHOT_BRANCH_POINT;
  show(user, &out);
}

Repair repair_named(std::string_view name) {
  if (name == "none") return Repair::none;
  if (name == "safe") return Repair::safe;
  if (name == "all") return Repair::all;
  throw Error(Errc::invalid_argument, "repair cannot be '" + std::string(name) + "'").hint("none, safe or all");
}

template <typename Work>
int alone(varve_image* image, varve_error** error, Work work) {
  return capi::guarded(error, [&] { capi::usable(image).engine.exclusive(work); });
}

}  // namespace

int varve_snapshot_create(varve_image* image, const char* name, uint64_t time, varve_error** error) {
  return alone(image, error, [&](Image& one) { one.create_snapshot(&capi::required(name, "the name"), time); });
}

int varve_snapshot_delete(varve_image* image, const char* name, int held_too, varve_error** error) {
  return alone(image, error, [&](Image& one) { one.delete_snapshot(&capi::required(name, "the name"), held_too != 0); });
}

int varve_snapshot_revert(varve_image* image, const char* name, varve_error** error) {
  return alone(image, error, [&](Image& one) { one.revert_to_snapshot(&capi::required(name, "the name")); });
}

int varve_snapshot_rename(varve_image* image, const char* name, const char* new_name, varve_error** error) {
  return alone(image, error,
               [&](Image& one) { one.rename_snapshot(&capi::required(name, "the name"), &capi::required(new_name, "the new name")); });
}

int varve_snapshot_list(varve_image* image, varve_snapshot_fn* show, void* user, varve_error** error) {
  std::vector<SnapshotInfo> all;
  const int code = alone(image, error, [&](Image& one) {
    static_cast<void>(capi::required(show, "the function"));
    all = one.snapshots();
  });
  if (code != VARVE_OK) return code;
  return capi::guarded(error, [&] {
    for (const SnapshotInfo& snapshot : all) show_snapshot(snapshot, show, user);
  });
}

int varve_resize(varve_image* image, uint64_t size, int shrink, varve_error** error) {
  return alone(image, error, [&](Image& one) {
    if (size < one.size() && shrink == 0)
      throw Error(Errc::invalid_argument, "the disk has " + std::to_string(one.size()) + " bytes, and would lose some")
          .hint("say so with shrink");
    one.resize(size);
  });
}

int varve_check(varve_image* image, const char* repair, int data, varve_finding_fn* show, varve_progress_fn* progress, void* user,
                varve_check_report* report, varve_error** error) {
  Progress between(progress, user);
  CheckReport found;
  const int code = alone(image, error, [&](Image& one) {
    CheckOptions how;
    how.repair = repair_named(&capi::required(repair, "repair"));
    how.data = data != 0;
    how.progress = between.function();
    how.cancel = between.cancel();
    found = one.check(how);
  });
  if (code != VARVE_OK) return code;
  if (report != nullptr) *report = {found.damages, found.leaks, found.repaired, found.leaked_bytes, found.allocated_bytes, {}};
  if (show == nullptr) return VARVE_OK;
  return capi::guarded(error, [&] {
    for (const Finding& one : found.findings) show_finding(one, show, user);
  });
}

int varve_convert(const char* source, const varve_options* source_options, const char* target, const varve_options* target_options,
                  varve_progress_fn* progress, void* user, varve_error** error) {
  Progress between(progress, user);
  return capi::guarded(error, [&] {
    ConvertOptions how;
    how.source_format = capi::format_of(source_options);
    how.target_format = capi::format_of(target_options);
    how.open = capi::open_options(source_options);
    how.create = capi::create_options(target_options);
    how.copy.threads = target_options->threads;
    how.copy.progress = between.function();
    how.copy.cancel = between.cancel();
    convert(&capi::required(source, "the source"), &capi::required(target, "the target"), how);
  });
}

int varve_copy(varve_image* source, varve_image* target, varve_progress_fn* progress, void* user, varve_error** error) {
  Progress between(progress, user);
  return capi::guarded(error, [&] {
    varve_image& from = capi::usable(source);
    varve_image& to = capi::usable(target);
    if (&from == &to) throw Error(Errc::invalid_argument, "source and target are the same image");
    CopyOptions how;
    how.progress = between.function();
    how.cancel = between.cancel();
    // Always in the same order: else two copies, one each way, and who wants either image alone could wait for each other.
    const bool from_first = std::less<>()(&from, &to);
    Engine& first = from_first ? from.engine : to.engine;
    Engine& second = from_first ? to.engine : from.engine;
    first.shared([&](Image&) { second.shared([&](Image&) { copy_image(from.image, to.image, how); }); });
  });
}
