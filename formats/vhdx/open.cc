#include "vhdx/open.h"

#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/utf16.h"
#include "varve/error.h"
#include "vhdx/log.h"
#include "vhdx/replayed_storage.h"

namespace varve::vhdx {
namespace {

/// Who made the file; for people, so what is no text is no error.
std::string read_identifier(Storage& file) {
  std::vector<std::byte> bytes(sizeof(FileIdentifierRaw));
  file.read_at(0, bytes);
  if (!is_vhdx(bytes)) throw Error(Errc::corrupt, "the file does not begin as a VHDX does").at(0);
  const auto raw = load<FileIdentifierRaw>(bytes);
  try {
    std::string creator = utf16le_to_utf8(std::as_bytes(std::span(raw.creator)));
    return creator.substr(0, creator.find('\0'));
  } catch (const Error&) {
    return {};
  }
}

/// What lies behind the headers, as `file` shows it.
void read_structures(Storage& file, ImageParts& parts) {
  const Header& header = parts.headers.header();
  parts.regions = read_regions(file, {header.log_offset, header.log_length});
  parts.metadata = read_metadata(file, parts.regions.metadata(), parts.limits, &parts.size_offset);
  require_room(Geometry(parts.metadata), parts.regions.bat());
}

/// Ends the log of a file that is to be written: its changes go to their places.
void end_log(OpenContext& context, ImageParts& parts, ReplayedStorage* replayed) {
  if (parts.headers.header().log_guid.is_nil()) return;
  require_replaceable(parts.headers, kUpdatesInTwoSteps);
  Header header = parts.headers.header();
  // The file changes, but not what the guest sees of it: children stay valid [MS-VHDX 2.2.2].
  header.file_write_guid = random_uuid(context.random());
  if (replayed != nullptr) {
    replace_older_header(*parts.file, parts.headers, header);
    replayed->write_into_file();
    parts.log_replayed = true;
  }
  header.log_guid = {};
  replace_header(*parts.file, parts.headers, header);
}

void warn_of_copies(OpenContext& context, const ImageParts& parts) {
  const auto tell = [&](const char* what, const std::string& fault) {
    context.warn(std::string(what) + " is not whole: " + fault + "; `varve check --repair=safe` mends it");
  };
  for (const HeaderCopy& copy : parts.headers.copies)
    if (!copy.header) tell("one copy of the header", copy.fault);
  for (const std::string& fault : parts.regions.faults)
    if (!fault.empty()) tell("one copy of the region table", fault);
}

}  // namespace

std::unique_ptr<VhdxImage> open_image(OpenContext& context) {
  ImageParts parts;
  parts.file = context.file();
  parts.writable = context.writable();
  parts.limits = context.limits();
  parts.random = &context.random();
  parts.creator = read_identifier(*parts.file);
  parts.headers = read_headers(*parts.file);
  const PendingLog log = read_log(*parts.file, parts.headers.header(), parts.limits);
  const auto replayed = log.empty() ? nullptr : std::make_shared<ReplayedStorage>(parts.file, log);
  // A file that is refused is not changed: all is looked at as it would be after replay.
  read_structures(replayed ? *replayed : *parts.file, parts);
  parts.log_pending = replayed && !parts.writable;
  if (parts.log_pending) parts.file = replayed;
  if (parts.writable) end_log(context, parts, replayed.get());
  warn_of_copies(context, parts);
  return std::make_unique<VhdxImage>(std::move(parts));
}

ProbeResult probe_image(const ProbeInput& input) {
  ProbeResult result;
  result.matches = is_vhdx(input.head);
  result.forgeable = true;  // a guest can write it to the front of a raw disk
  return result;
}

}  // namespace varve::vhdx
