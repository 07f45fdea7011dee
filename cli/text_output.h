// Text for people. Whatever comes from an image or a file name is escaped before it reaches a terminal.
#ifndef VARVE_CLI_TEXT_OUTPUT_H
#define VARVE_CLI_TEXT_OUTPUT_H

#include <cstdint>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "varve/image.h"
#include "varve/text.h"

namespace varve::cli {

/// "10 GiB (10737418240 bytes)", "512 bytes".
std::string exact_size(uint64_t bytes);
/// "0:07", "12:34", "1:02:03".
std::string human_duration(uint64_t seconds);

std::string value_text(const InfoValue& value);
/// Bytes that deriving a key with scrypt takes.
uint64_t scrypt_memory(const KeyDerivation& how);
/// "scrypt, N=2^17 r=8 p=1, 128 MiB", "pbkdf2, 1000000 iterations", "raw key".
std::string key_slot_text(const KeyDerivation& how);

/// Lines of "name:   value", aligned. Values are escaped here.
class FieldList {
 public:
  void add(std::string_view name, std::string_view value) { fields_.emplace_back(name, value); }
  void print(std::ostream& out, size_t indent = 0) const;

 private:
  std::vector<std::pair<std::string, std::string>> fields_;
};

/// Breaks paragraphs at `width` columns, each line indented. An empty line separates paragraphs; a line that begins with a blank is kept as
/// it is.
std::string wrapped(std::string_view text, size_t indent, size_t width = 80);

}  // namespace varve::cli

#endif
