#include "native/rotation_record.h"

#include <algorithm>
#include <map>
#include <string>

#include "varve/error.h"

namespace varve::native {
namespace {

[[noreturn]] void bad(const char* what) { throw Error(Errc::corrupt, std::string("the record of a key rotation ") + what); }

void append(std::vector<std::byte>& out, ConstBytes bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

}  // namespace

RotationProgress parse_rotation(const OtherRecord& record) {
  if (record.payload.size() < sizeof(RotationRaw)) bad("has the wrong length");
  const auto raw = load<RotationRaw>(record.payload);
  RotationProgress progress;
  progress.epoch = raw.epoch;
  progress.done = raw.done;
  progress.next_cluster = raw.next_cluster;
  progress.head_tag = raw.head_tag;
  progress.head_size = raw.head_size;
  progress.objects = record.objects;
  if (record.payload.size() != sizeof(raw) + uint64_t{raw.generations} * sizeof(le64)) bad("has the wrong length");
  for (uint32_t i = 0; i < raw.generations; ++i) progress.generations.push_back(load<le64>(record.payload, sizeof(raw) + i * sizeof(le64)));
  const uint64_t begun = record.objects.size() - progress.done;
  if (progress.done > record.objects.size() || begun > 1 || raw.reserved != 0) bad("contradicts itself");
  if (progress.generations.size() > progress.done || (progress.next_cluster != 0 && begun == 0)) bad("contradicts itself");
  return progress;
}

OtherRecord record_of(const RotationProgress& progress) {
  RotationRaw raw{};
  raw.epoch = progress.epoch;
  raw.generations = static_cast<uint32_t>(progress.generations.size());
  raw.done = static_cast<uint32_t>(progress.done);
  raw.next_cluster = progress.next_cluster;
  raw.head_tag = progress.head_tag;
  raw.head_size = progress.head_size;
  OtherRecord record{kRotationRecord, kMustUnderstandToWrite, progress.objects, {}};
  append(record.payload, bytes_of(raw));
  for (const uint64_t generation : progress.generations) {
    const le64 value = generation;
    append(record.payload, bytes_of(value));
  }
  return record;
}

std::vector<ObjectBase> bases_of(const Catalog& catalog, const OtherRecord& record, uint64_t head_parent) {
  std::vector<ObjectBase> bases(record.objects.size());
  if (record.type != kRotationRecord) return bases;
  const RotationProgress progress = parse_rotation(record);
  const size_t snapshots = catalog.snapshots.size();
  size_t others = 0;
  for (const OtherRecord& other : catalog.others) others += other.type == kRotationRecord ? 0 : other.objects.size();
  if (progress.objects.size() > snapshots + others + 1 || progress.generations.size() != std::min<uint64_t>(progress.done, snapshots))
    bad("is not about the snapshots that there are");
  std::map<uint64_t, size_t> numbers;  // of snapshots, by id
  for (size_t i = 0; i < snapshots; ++i) numbers[catalog.snapshots[i].id] = i;
  for (size_t i = 0; i < bases.size(); ++i) {
    const uint64_t parent = i < snapshots ? catalog.snapshots[i].parent : i == snapshots + others ? head_parent : 0;
    const auto number = numbers.find(parent);
    if (number == numbers.end()) continue;
    if (number->second >= progress.generations.size()) bad("has a snapshot before its parent");
    bases[i] = {number->second, progress.generations[number->second]};
  }
  return bases;
}

}  // namespace varve::native
