#include "script.h"

#include <algorithm>
#include <functional>
#include <vector>

#include "target.h"

namespace varve::fuzz {

namespace {

enum class Outcome : uint8_t { done, refused, failed };

Outcome attempt(const ScriptBounds& bounds, const std::function<void()>& work) {
  const int code = only_errors(work);
  if (code == 0) return Outcome::done;
  require(!bounds.sound || !structural(code), "a sound image was found corrupt by an operation");
  const bool late = structural(code) || code == static_cast<int>(Errc::limit);
  return late ? Outcome::failed : Outcome::refused;
}

void change(Shadow& shadow, uint64_t offset, uint64_t length, Outcome outcome, const std::function<void()>& note) {
  if (outcome == Outcome::done) note();
  if (outcome == Outcome::failed) shadow.forget(offset, length);
}

bool resize(Image& image, Shadow& shadow, uint64_t size, const ScriptBounds& bounds) {
  const Outcome outcome = attempt(bounds, [&] { image.resize(size); });
  if (outcome == Outcome::done) shadow.resize(size);
  return outcome != Outcome::failed;
}

}  // namespace

bool run_step(Image& image, Shadow& shadow, DataProducer& script, const ScriptBounds& bounds) {
  const uint8_t kind = script.byte();
  const uint64_t offset = script.between(0, shadow.size() - 1);
  const uint64_t length = std::min<uint64_t>(shadow.size() - offset, script.between(1, kind % 3 == 0 ? 100000 : 2000));
  const std::vector<std::byte> data(static_cast<size_t>(length), static_cast<std::byte>(kind | 1));
  switch (kind / 3 % 8) {
    case 0:
    case 1:
      change(shadow, offset, length, attempt(bounds, [&] { image.write_at(offset, data); }), [&] { shadow.put(offset, data); });
      return true;
    case 2:
      change(shadow, offset, length, attempt(bounds, [&] { image.zero(offset, length); }), [&] { shadow.put_zeros(offset, length); });
      return true;
    case 3:
      change(shadow, offset, length, attempt(bounds, [&] { image.discard(offset, length); }), [&] { shadow.forget(offset, length); });
      return true;
    case 4: return attempt(bounds, [&] { image.flush(); }) == Outcome::done;
    case 5: return resize(image, shadow, script.between(1, bounds.largest / 512) * 512, bounds);
    case 6: require(!bounds.sound || is_sound(image), "a sound image is damaged while it is open"); return true;
    default: shadow.compare(image, "between two operations"); return true;
  }
}

bool is_sound(Image& image, bool data) {
  bool result = false;
  CheckOptions options;
  options.data = data;
  only_errors([&] { result = image.check(options).damages == 0; });
  return result;
}

}  // namespace varve::fuzz
