// Results for programs: one JSON document, always valid UTF-8, with keys that never change (docs/cli.md).
#ifndef VARVE_CLI_JSON_OUTPUT_H
#define VARVE_CLI_JSON_OUTPUT_H

#include <nlohmann/json.hpp>
#include <optional>
#include <ostream>
#include <string>

#include "varve/check.h"
#include "varve/extent.h"
#include "varve/format.h"
#include "varve/image.h"

namespace varve::cli {

/// Keys keep the order in which they are set.
using Json = nlohmann::ordered_json;

/// Text of one line. Whatever is not ASCII is written as \uXXXX, so nothing of it acts on a terminal; bytes that are not UTF-8 become
/// U+FFFD.
std::string json_line(const Json& value);
/// The whole document, indented, with a final newline.
void print_json(std::ostream& out, const Json& document);

template <typename T>
Json json_or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json to_json(const ImageInfo& info);
Json to_json(const FormatInfo& format);
Json to_json(const Finding& finding);
Json to_json(const std::vector<KeySlotInfo>& slots);

}  // namespace varve::cli

#endif
