#include "varve/ops.h"

namespace varve {

namespace {

bool continues(const Extent& run, const Extent& next) {
  if (run.kind != next.kind || run.compressed != next.compressed || run.depth != next.depth) return false;
  if (run.host_offset.has_value() != next.host_offset.has_value()) return false;
  return !run.host_offset || (run.host_file == next.host_file && *run.host_offset + run.length == *next.host_offset);
}

}  // namespace

void map(Image& image, const std::function<void(const Extent&)>& visit, const CancelToken* cancel) {
  const uint64_t size = image.size();
  if (size == 0) return;
  Extent run = image.extent_at(0);
  while (run.offset + run.length < size) {
    if (cancel != nullptr) cancel->check();
    const Extent next = image.extent_at(run.offset + run.length);
    if (continues(run, next)) {
      run.length += next.length;
    } else {
      visit(run);
      run = next;
    }
  }
  visit(run);
}

}  // namespace varve
