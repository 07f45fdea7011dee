#include "json_output.h"

#include "text_output.h"

namespace varve::cli {
namespace {

constexpr auto kReplaceBadUtf8 = Json::error_handler_t::replace;

Json to_json(const InfoValue& value) {
  return std::visit([](const auto& v) { return Json(v); }, value);
}

std::string_view type_name(OptionType type) {
  switch (type) {
    case OptionType::text: return "text";
    case OptionType::size: return "size";
    case OptionType::number: return "number";
    case OptionType::boolean: return "boolean";
    case OptionType::choice: return "choice";
  }
  return "text";
}

Json to_json(const OptionSpec& option) {
  Json json = {{"name", option.name}, {"type", type_name(option.type)}, {"default", nullptr}, {"help", option.help}};
  if (!option.default_value.empty()) json["default"] = option.default_value;
  if (option.type == OptionType::choice) json["choices"] = option.choices;
  if (option.type == OptionType::size || option.type == OptionType::number) {
    json["min"] = option.min;
    json["max"] = option.max;
    json["power_of_two"] = option.power_of_two;
  }
  return json;
}

Json to_json(const FormatCapabilities& can) {
  return {{"create", can.create},         {"write", can.write},
          {"parent", can.parent},         {"zero", can.zero},
          {"discard", can.discard},       {"resize", can.resize},
          {"check", can.check},           {"repair", can.repair},
          {"snapshots", can.snapshots},   {"generations", can.generations},
          {"encryption", can.encryption}, {"stream_in", can.stream_in},
          {"stream_out", can.stream_out}};
}

}  // namespace

std::string json_line(const Json& value) { return value.dump(-1, ' ', true, kReplaceBadUtf8); }

void print_json(std::ostream& out, const Json& document) { out << document.dump(2, ' ', true, kReplaceBadUtf8) << '\n'; }

Json to_json(const ImageInfo& info) {
  Json json = {
      {"file", info.path},
      {"format", info.format},
      {"virtual_size", info.locked ? Json(nullptr) : Json(info.virtual_size)},
      {"allocated_bytes", json_or_null(info.allocated_bytes)},
      {"cluster_size", info.cluster_size == 0 ? Json(nullptr) : Json(info.cluster_size)},
      {"encrypted", info.encrypted},
      {"locked", info.locked},
      {"files", info.files},
      {"parent", nullptr},
  };
  if (info.parent) json["parent"] = {{"name", info.parent->name}, {"format", info.parent->format}, {"identity", info.parent->identity}};
  Json details = Json::object();
  for (const auto& [name, value] : info.details) details[name] = to_json(value);
  json["details"] = details;
  json["warnings"] = info.warnings;
  return json;
}

Json to_json(const FormatInfo& format) {
  Json options = Json::array();
  for (const OptionSpec& option : format.create_options) options.push_back(to_json(option));
  return {{"name", format.name},
          {"description", format.description},
          {"extensions", format.extensions},
          {"can", to_json(format.can)},
          {"options", options}};
}

Json to_json(const Finding& finding) {
  Json json = {
      {"severity", severity_name(finding.severity)},      {"message", finding.message}, {"file_offset", json_or_null(finding.file_offset)},
      {"disk_offset", json_or_null(finding.disk_offset)}, {"disk_length", nullptr},     {"repaired", finding.repaired}};
  if (finding.disk_offset) json["disk_length"] = finding.disk_length;
  return json;
}

Json to_json(const std::vector<KeySlotInfo>& slots) {
  Json rows = Json::array();
  for (const auto& [slot, how, opened] : slots) {
    switch (how.kind) {
      case KdfKind::scrypt:
        rows.push_back(
            {{"slot", slot}, {"kdf", "scrypt"}, {"log2_n", how.log2_n}, {"r", how.r}, {"p", how.p}, {"memory", scrypt_memory(how)}});
        break;
      case KdfKind::pbkdf2: rows.push_back({{"slot", slot}, {"kdf", "pbkdf2"}, {"iterations", how.iterations}}); break;
      case KdfKind::none: rows.push_back({{"slot", slot}, {"kdf", "none"}}); break;
    }
  }
  return rows;
}

}  // namespace varve::cli
