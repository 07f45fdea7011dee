// Changes the key slots of an image until it is killed: key_writer IMAGE SESSION SLOTS LOG. The log gets a line "begin SLOT OLD NEW" before
// each change, the numbers of secrets or 0 for none, and a line "end" when it has returned.
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <iterator>

#include "io/unique_fd.h"
#include "native/numbered_secrets.h"
#include "support/seeds.h"
#include "varve/error.h"
#include "varve/image.h"

namespace varve::test {
namespace {

void say(const UniqueFd& log, const std::string& line) {
  if (write(log.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size())) std::exit(3);
}

unsigned first_free(const NumberedSlots& slots) {
  unsigned slot = 0;
  while (slots.contains(slot)) ++slot;
  return slot;
}

[[noreturn]] void run(const char* path, uint64_t session, NumberedSlots slots, const char* log_path) {
  const UniqueFd log(open(log_path, O_WRONLY | O_APPEND | O_CLOEXEC));
  OpenOptions how;
  how.access = Access::read_write;
  how.format = "varve";
  how.secret = provider_of(numbered_secret(slots.at(0)));
  how.durable = session % 2 == 0;  // a kill takes nothing from the page cache
  Image image = Image::open(path, how);
  Rng rng(base_seed() + session);
  for (uint64_t number = session * 100000 + 1;; ++number) {
    const uint64_t choice = rng.below(3);
    const bool add = slots.size() < 3 || (choice == 0 && slots.size() < 12);
    const unsigned slot =
        add ? first_free(slots) : std::next(slots.begin(), static_cast<ptrdiff_t>(rng.between(1, slots.size() - 1)))->first;
    const bool remove = !add && choice == 1;
    const uint64_t old = add ? 0 : slots.at(slot);
    say(log, "begin " + std::to_string(slot) + ' ' + std::to_string(old) + ' ' + std::to_string(remove ? 0 : number) + '\n');
    if (add && image.add_key(numbered_secret(number), weakest_derivation()) != slot) std::exit(4);
    if (!add && !remove) image.change_key(slot, numbered_secret(number), weakest_derivation());
    if (remove) image.remove_key(slot);
    say(log, "end\n");
    if (remove)
      slots.erase(slot);
    else
      slots[slot] = number;
  }
}

}  // namespace
}  // namespace varve::test

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  try {
    varve::test::run(argv[1], std::strtoull(argv[2], nullptr, 10), varve::test::slots_from(argv[3]), argv[4]);
  } catch (const varve::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
