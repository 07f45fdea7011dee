#include "native/run_writer.h"

#include <algorithm>

namespace varve::native {
namespace {

constexpr size_t kMost = size_t{1} << 20;  // bytes written at once

}  // namespace

void RunWriter::add(uint64_t offset, ConstBytes bytes) {
  const bool follows = !run_.empty() && offset_ + run_.size() == offset && run_.size() + bytes.size() <= kMost;
  if (!follows) {
    finish();
    offset_ = offset;
    run_ = bytes;
  } else if (run_.data() + run_.size() == bytes.data()) {
    run_ = {run_.data(), run_.size() + bytes.size()};
  } else {
    gather(bytes);
  }
}

void RunWriter::gather(ConstBytes bytes) {
  const size_t before = run_.size();
  if (run_.data() != buffer_.data()) {
    buffer_.reset(kMost);
    std::copy(run_.begin(), run_.end(), buffer_.data());
  }
  std::copy(bytes.begin(), bytes.end(), buffer_.data() + before);
  run_ = buffer_.first(before + bytes.size());
}

void RunWriter::finish() {
  if (!run_.empty()) file_.write_at(offset_, run_);
  run_ = {};
}

}  // namespace varve::native
