// Reading and writing, at once and through queues.
#include <algorithm>
#include <array>
#include <chrono>
#include <utility>

#include "capi/handles.h"

using namespace varve;

namespace {

ConstBytes bytes_at(const void* data, size_t length) { return {static_cast<const std::byte*>(capi::required_bytes(data, length)), length}; }
MutableBytes bytes_at(void* data, size_t length) { return {static_cast<std::byte*>(capi::required_bytes(data, length)), length}; }

std::span<const iovec> all_of(const iovec* segments, unsigned count) {
  if (count > Request::kMostSegments) return {segments, count};  // which the queue refuses
  for (unsigned i = 0; i < count; ++i) {
    const iovec& one = (&capi::required(segments, "the array of segments"))[i];
    static_cast<void>(capi::required_bytes(one.iov_base, one.iov_len));
  }
  return {segments, count};
}

varve_queue& usable(varve_queue* queue) {
  varve_queue& one = capi::required(queue, "the queue");
  static_cast<void>(capi::usable(&one.image));
  return one;
}

/// `request` gives it, or throws.
template <typename Make>
int submit(varve_queue* queue, Make request, varve_error** error) {
  bool taken = false;
  const int code = capi::guarded(error, [&] { taken = usable(queue).queue.submit(request()); });
  if (code != VARVE_OK || taken) return code;
  return capi::told(error, VARVE_AGAIN, "the queue is full: take completions from it");
}

varve_completion told(const Completion& from) {
  varve_completion to = {};
  to.cookie = from.cookie;
  if (from.error) to.code = capi::report(from.error, &to.error);
  return to;
}

/// In pieces, so that no memory is needed for them. nullopt: any time.
unsigned take(Queue& queue, varve_completion* out, unsigned least, unsigned most, std::optional<std::chrono::milliseconds> timeout) {
  using std::chrono::steady_clock;
  const auto end = steady_clock::now() + timeout.value_or(std::chrono::milliseconds(0));
  std::array<Completion, 64> some;
  unsigned count = 0;
  while (count < most) {
    const auto part = std::span(some).first(std::min<size_t>(most - count, some.size()));
    const size_t lacking = std::min<size_t>(least - std::min(least, count), part.size());
    auto left = timeout;
    if (left) left = std::chrono::ceil<std::chrono::milliseconds>(std::max(end - steady_clock::now(), steady_clock::duration::zero()));
    const size_t got = lacking != 0 ? queue.wait(part, lacking, left) : queue.poll(part);
    for (size_t i = 0; i < got; ++i) out[count++] = told(std::exchange(some[i], {}));
    if (got < std::max<size_t>(lacking, 1)) break;
  }
  return count;
}

}  // namespace

int varve_read(varve_image* image, uint64_t offset, void* buffer, size_t length, varve_error** error) {
  return capi::guarded(error, [&] { capi::usable(image).engine.read_at(offset, bytes_at(buffer, length)); });
}

int varve_write(varve_image* image, uint64_t offset, const void* data, size_t length, unsigned flags, varve_error** error) {
  return capi::guarded(error, [&] { capi::usable(image).engine.write_at(offset, bytes_at(data, length), capi::wants_fua(flags)); });
}

int varve_zero(varve_image* image, uint64_t offset, uint64_t length, unsigned flags, varve_error** error) {
  return capi::guarded(error, [&] { capi::usable(image).engine.zero(offset, length, capi::wants_fua(flags)); });
}

int varve_discard(varve_image* image, uint64_t offset, uint64_t length, unsigned flags, varve_error** error) {
  return capi::guarded(error, [&] { capi::usable(image).engine.discard(offset, length, capi::wants_fua(flags)); });
}

int varve_flush(varve_image* image, varve_error** error) {
  return capi::guarded(error, [&] { capi::usable(image).engine.flush(); });
}

int varve_extent_at(varve_image* image, uint64_t offset, varve_extent* extent, varve_error** error) {
  return capi::guarded(error, [&] {
    varve_extent& out = capi::required(extent, "the extent") = {};
    const Extent run = capi::usable(image).engine.extent_at(offset);
    out.offset = run.offset;
    out.length = run.length;
    out.kind = static_cast<uint32_t>(run.kind);
    out.depth = run.depth;
    if (run.compressed) out.flags |= VARVE_EXTENT_COMPRESSED;
    if (!run.host_offset) return;
    out.flags |= VARVE_EXTENT_HAS_HOST_OFFSET;
    out.host_file = run.host_file;
    out.host_offset = *run.host_offset;
  });
}

int varve_queue_new(varve_image* image, unsigned depth, varve_queue** queue, varve_error** error) {
  return capi::guarded(error, [&] {
    varve_queue*& place = capi::place_of(queue);
    place = std::make_unique<varve_queue>(capi::usable(image), depth).release();
  });
}

void varve_queue_free(varve_queue* queue) {
  // In a child of fork() the threads to wait for are not there.
  if (queue != nullptr && queue->image.forks == fork_count()) std::unique_ptr<varve_queue>{queue};
}

int varve_queue_read(varve_queue* queue, uint64_t offset, const struct iovec* segments, unsigned count, uint64_t cookie,
                     varve_error** error) {
  const auto request = [=] {
    return Request{.kind = RequestKind::read, .offset = offset, .segments = all_of(segments, count), .cookie = cookie};
  };
  return submit(queue, request, error);
}

int varve_queue_write(varve_queue* queue, uint64_t offset, const struct iovec* segments, unsigned count, unsigned flags, uint64_t cookie,
                      varve_error** error) {
  const auto request = [=] {
    return Request{
        .kind = RequestKind::write, .offset = offset, .segments = all_of(segments, count), .fua = capi::wants_fua(flags), .cookie = cookie};
  };
  return submit(queue, request, error);
}

int varve_queue_zero(varve_queue* queue, uint64_t offset, uint64_t length, unsigned flags, uint64_t cookie, varve_error** error) {
  const auto request = [=] {
    return Request{.kind = RequestKind::zero, .offset = offset, .length = length, .fua = capi::wants_fua(flags), .cookie = cookie};
  };
  return submit(queue, request, error);
}

int varve_queue_discard(varve_queue* queue, uint64_t offset, uint64_t length, unsigned flags, uint64_t cookie, varve_error** error) {
  const auto request = [=] {
    return Request{.kind = RequestKind::discard, .offset = offset, .length = length, .fua = capi::wants_fua(flags), .cookie = cookie};
  };
  return submit(queue, request, error);
}

int varve_queue_flush(varve_queue* queue, uint64_t cookie, varve_error** error) {
  return submit(
      queue, [=] { return Request{.kind = RequestKind::flush, .cookie = cookie}; }, error);
}

int varve_queue_poll(varve_queue* queue, varve_completion* completions, unsigned most) {
  return varve_queue_wait(queue, completions, 0, most, 0);
}

int varve_queue_wait(varve_queue* queue, varve_completion* completions, unsigned least, unsigned most, int timeout_ms) {
  unsigned count = 0;
  const int code = capi::guarded(nullptr, [&] {
    Queue& its = usable(queue).queue;
    if (most != 0) static_cast<void>(capi::required(completions, "the array of completions"));
    const auto timeout = timeout_ms < 0 ? std::nullopt : std::optional(std::chrono::milliseconds(timeout_ms));
    count = take(its, completions, least, most, timeout);
  });
  return code != VARVE_OK ? code : static_cast<int>(count);
}

int varve_queue_eventfd(varve_queue* queue, varve_error** error) {
  int fd = -1;
  const int code = capi::guarded(error, [&] { fd = usable(queue).queue.event_fd(); });
  return code != VARVE_OK ? code : fd;
}

int varve_queue_cancel(varve_queue* queue) {
  size_t count = 0;
  const int code = capi::guarded(nullptr, [&] { count = usable(queue).queue.cancel(); });
  return code != VARVE_OK ? code : static_cast<int>(count);
}

unsigned varve_queue_in_flight(varve_queue* queue) {
  size_t count = 0;
  static_cast<void>(capi::guarded(nullptr, [&] { count = usable(queue).queue.in_flight(); }));
  return static_cast<unsigned>(count);
}
