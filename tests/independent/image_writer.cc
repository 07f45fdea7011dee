// Changes an image as it is told, line by line, and ends without closing it unless told to: image_writer IMAGE DATA <COMMANDS
//
// An encrypted one is under the tests' key.
//
//   write OFFSET LENGTH FROM    LENGTH bytes that stand at FROM in the file DATA
//   zero OFFSET LENGTH
//   resize SIZE
//   flush
//   close
#include <unistd.h>

#include <fstream>
#include <iostream>
#include <iterator>
#include <string>
#include <vector>

#include "support/secrets.h"
#include "varve/error.h"
#include "varve/image.h"

namespace {

int run(const std::string& path, const std::string& data_path) {
  std::ifstream in(data_path, std::ios::binary);
  const std::string data{std::istreambuf_iterator<char>(in), {}};
  varve::OpenOptions options;
  options.access = varve::Access::read_write;
  options.format = "varve";
  options.secret = varve::test::test_key();
  varve::Image image = varve::Image::open(path, options);
  for (std::string command; std::cin >> command;) {
    uint64_t offset = 0;
    uint64_t length = 0;
    uint64_t from = 0;
    if (command == "write") {
      std::cin >> offset >> length >> from;
      if (from > data.size() || length > data.size() - from) return 2;
      image.write_at(offset, std::as_bytes(std::span(data)).subspan(from, length));
    } else if (command == "zero") {
      std::cin >> offset >> length;
      image.zero(offset, length);
    } else if (command == "resize") {
      std::cin >> length;
      image.resize(length);
    } else if (command == "flush") {
      image.flush();
    } else if (command == "close") {
      image.close();
    } else {
      return 2;
    }
  }
  _exit(0);  // as if the program had been killed: nothing is closed
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  try {
    return run(argv[1], argv[2]);
  } catch (const varve::Error& error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
