// Changes an image until it is killed: kill_writer IMAGE SESSION DONE. The file DONE says, as a number of eight bytes, how many steps have
// returned.
#include <fcntl.h>
#include <unistd.h>

#include <cstring>
#include <iostream>

#include "io/unique_fd.h"
#include "native/killed_disk.h"
#include "varve/error.h"

namespace {

int run(const char* path, uint64_t session, const char* done_path) {
  varve::OpenOptions how;
  how.access = varve::Access::read_write;
  how.format = "varve";
  how.durable = session % 2 == 0;  // a kill takes nothing from the page cache, so every second session need not wait for the medium
  varve::Image image = varve::Image::open(path, how);
  varve::test::KilledDisk disk(image);
  const varve::UniqueFd done(open(done_path, O_WRONLY | O_CLOEXEC));
  varve::test::Rng rng(varve::test::base_seed() + session);
  for (uint64_t number = 0;; ++number) {
    disk.step(rng, session, number, &image);
    const uint64_t steps = number + 1;
    if (pwrite(done.get(), &steps, sizeof steps, 0) != sizeof steps) return 3;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 2;
  try {
    return run(argv[1], std::strtoull(argv[2], nullptr, 10), argv[3]);
  } catch (const varve::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
