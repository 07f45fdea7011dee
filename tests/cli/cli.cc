#include "cli.h"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>

#include "varve/text.h"

namespace varve::test {

std::string cli_path() {
  const char* path = std::getenv("VARVE_TEST_CLI");
  REQUIRE_MESSAGE(path != nullptr, "VARVE_TEST_CLI must name the varve binary");
  return path;
}

std::vector<std::string> varve_argv(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), cli_path());
  return arguments;
}

RunResult tool(std::vector<std::string> arguments, const std::string& input) { return run(varve_argv(std::move(arguments)), input); }

RunResult varve_sh(const std::string& script, const std::vector<std::string>& words) {
  std::vector<std::string> argv = {"sh", "-c", "V=$0; " + script, cli_path()};
  argv.insert(argv.end(), words.begin(), words.end());
  return run(argv);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& contents) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(contents.data(), static_cast<std::streamsize>(contents.size()));
  file.close();
  REQUIRE(file.good());
}

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(directory)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

std::string noise(size_t size, uint32_t seed) {
  std::mt19937_64 random(seed);
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; i += 8) {
    const uint64_t value = random();
    for (size_t k = 0; k < 8 && i + k < size; ++k) bytes[i + k] = static_cast<char>(static_cast<unsigned char>(value >> (8 * k)));
  }
  return bytes;
}

bool is_one_line_error(const RunResult& result) {
  return result.out.empty() && result.err.starts_with("varve: ") && std::count(result.err.begin(), result.err.end(), '\n') == 1 &&
         result.err.back() == '\n';
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

bool is_harmless(const std::string& text) {
  std::string one_line = text;
  std::erase(one_line, '\n');
  return escape_text(one_line) == one_line;
}

Json json_of(const RunResult& result) {
  INFO(result.out << result.err);
  Json document = Json::parse(result.out, nullptr, false);
  REQUIRE(!document.is_discarded());
  return document;
}

std::vector<std::string> keys_of(const Json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

}  // namespace varve::test
