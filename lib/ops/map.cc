#include "image/node.h"
#include "varve/ops.h"

namespace varve {

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
