#include "vhdx/header.h"

#include <utility>
#include <vector>

#include "base/checked_math.h"
#include "checksum/crc32c.h"
#include "varve/error.h"

namespace varve::vhdx {
namespace {

/// A sequence number this close to the end can't come from use: nobody counts that far [MEM-22].
constexpr uint64_t kLastSequence = UINT64_MAX - (uint64_t{1} << 16);

uint32_t checksum_of(HeaderRaw raw) {
  raw.checksum = 0;
  return crc32c(bytes_of(raw));
}

HeaderCopy parse_copy(Storage& file, uint64_t offset) {
  if (!range_fits(offset, kHeaderSize, file.size())) return {std::nullopt, "the file ends before it"};
  std::vector<std::byte> bytes(kHeaderSize);
  try {
    file.read_at(offset, bytes);
  } catch (const Error& error) {
    if (error.code() != Errc::io) throw;
    return {std::nullopt, kUnreadable};
  }
  const auto raw = load<HeaderRaw>(bytes);
  if (raw.signature != kHeaderSignature) return {std::nullopt, "it has no signature"};
  if (raw.checksum != checksum_of(raw)) return {std::nullopt, "its checksum is wrong"};
  if (raw.version != 1) throw Error(Errc::unsupported, "VHDX of version " + std::to_string(raw.version) + ", known is 1").at(offset);
  Header header;
  header.sequence = raw.sequence_number;
  header.file_write_guid = to_uuid(raw.file_write_guid);
  header.data_write_guid = to_uuid(raw.data_write_guid);
  header.log_guid = to_uuid(raw.log_guid);
  header.log_offset = raw.log_offset;
  header.log_length = raw.log_length;
  if (raw.log_version != 0 && !header.log_guid.is_nil())
    throw Error(Errc::unsupported, "a log of version " + std::to_string(raw.log_version) + ", known is 0").at(offset);
  return {header, ""};
}

void check_log_place(const Header& header) {
  const bool whole = header.log_offset % kMiB == 0 && header.log_length % kMiB == 0;
  if (!whole || header.log_offset < kHeaderSectionSize || header.log_length == 0)
    throw Error(Errc::corrupt, "the log lies where none can be").during("reading the header");
  checked_add(header.log_offset, header.log_length, "the place of the log");
}

}  // namespace

Headers read_headers(Storage& file) {
  Headers headers;
  for (size_t i = 0; i < 2; ++i) headers.copies[i] = parse_copy(file, kHeaderOffsets[i]);
  const auto& [first, second] = headers.copies;
  if (!first.header && !second.header) {
    const bool unreadable = first.fault == kUnreadable || second.fault == kUnreadable;
    throw Error(unreadable ? Errc::io : Errc::corrupt,
                "neither copy of the header is whole: of the first, " + first.fault + "; of the second, " + second.fault)
        .at(kHeaderOffsets[0]);
  }
  if (!first.header || (second.header && second.header->sequence > first.header->sequence)) headers.current = 1;
  // Disk2vhd leaves two equal copies.
  if (first.header && second.header && first.header->sequence == second.header->sequence && *first.header != *second.header)
    throw Error(Errc::corrupt, "two different headers bear the same sequence number").at(kHeaderOffsets[0]);
  check_log_place(headers.header());
  return headers;
}

HeaderRaw encode(const Header& header) {
  HeaderRaw raw{};
  raw.signature = kHeaderSignature;
  raw.sequence_number = header.sequence;
  raw.file_write_guid = to_raw(header.file_write_guid);
  raw.data_write_guid = to_raw(header.data_write_guid);
  raw.log_guid = to_raw(header.log_guid);
  raw.version = 1;
  raw.log_length = checked_narrow<uint32_t>(header.log_length, "the log's length");
  raw.log_offset = header.log_offset;
  raw.checksum = checksum_of(raw);
  return raw;
}

void require_replaceable(const Headers& headers, uint64_t updates) {
  if (headers.header().sequence > kLastSequence - updates)
    throw Error(Errc::limit, "the header's sequence number has no successor").hint("convert the image into a new one");
}

void replace_older_header(Storage& file, Headers& headers, Header header) {
  header.sequence = headers.header().sequence + 1;
  const size_t other = 1 - headers.current;
  file.write_at(kHeaderOffsets[other], bytes_of(encode(header)));
  file.flush();
  headers.copies[other] = {header, ""};
  headers.current = other;
}

void replace_header(Storage& file, Headers& headers, Header header) {
  constexpr uint64_t kRounds = 2;
  require_replaceable(headers, kRounds);
  for (uint64_t round = 0; round < kRounds; ++round) replace_older_header(file, headers, header);
}

bool is_vhdx(ConstBytes bytes) { return bytes.size() >= sizeof(uint64_t) && load<le64>(bytes) == kFileSignature; }

}  // namespace varve::vhdx
