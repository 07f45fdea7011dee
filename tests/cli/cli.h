// The real binary, run by the tests of the command line.
#ifndef VARVE_TESTS_CLI_CLI_H
#define VARVE_TESTS_CLI_CLI_H

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "support/process.h"
#include "support/test.h"

namespace varve::test {

using Json = nlohmann::json;

std::string cli_path();
/// argv of the tool with these arguments.
std::vector<std::string> varve_argv(std::vector<std::string> arguments);
RunResult tool(std::vector<std::string> arguments, const std::string& input = {});
/// By way of `sh -c`: "$V" in the script is the tool; "$1", "$2", ... are the words.
RunResult varve_sh(const std::string& script, const std::vector<std::string>& words = {});

std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& contents);
bool exists(const std::string& path);
/// The names in a directory, in order.
std::vector<std::string> names_in(const std::string& directory);
/// Bytes that do not compress, others for each seed.
std::string noise(size_t size, uint32_t seed = 1);

/// One line "varve: ..." on stderr and nothing on standard output.
bool is_one_line_error(const RunResult& result);
bool contains(const std::string& text, const std::string& part);
/// No character that a terminal acts upon, but line feeds.
bool is_harmless(const std::string& text);
/// Parses what must be one JSON document.
Json json_of(const RunResult& result);
std::vector<std::string> keys_of(const Json& object);

}  // namespace varve::test

#endif
