#include "vmdk/open.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "base/checked_math.h"
#include "base/interval_set.h"
#include "varve/error.h"
#include "vmdk/cowd_extent.h"
#include "vmdk/flat_extent.h"
#include "vmdk/sesparse_extent.h"
#include "vmdk/sparse_extent.h"
#include "vmdk/stream_extent.h"
#include "vmdk/text_encoding.h"

namespace varve::vmdk {
namespace {

std::vector<std::byte> read_head(Storage& file, uint64_t most) {
  std::vector<std::byte> head(std::min(file.size(), most));
  file.read_at(0, head);
  return head;
}

std::string base_name(const std::string& path) { return path.substr(path.find_last_of("/\\") + 1); }

bool names_device(const std::string& name) { return name.starts_with("/dev/") || name.starts_with("\\\\.\\"); }

bool is_device_type(ExtentType type) {
  return type == ExtentType::vmfs_rdm || type == ExtentType::vmfs_rdmp || type == ExtentType::vmfs_raw;
}

bool is_sparse_type(ExtentType type) {
  return type == ExtentType::sparse || type == ExtentType::vmfs_sparse || type == ExtentType::se_sparse;
}

/// Puts the image together, line by line.
class Opener {
 public:
  explicit Opener(OpenContext& context) : context_(context) {
    out_.writable = context.writable();
    out_.limits = context.limits();
    out_.random = &context.random();
    out_.files.push_back(context.file());
  }

  std::unique_ptr<VmdkImage> open() {
    const auto head = read_head(*context_.file(), uint64_t{64} << 10);
    if (is_sparse_header(head))
      open_with_embedded(head);
    else if (is_cowd_header(head) || is_sesparse_header(head))
      add_extent_alone(is_cowd_header(head) ? ExtentType::vmfs_sparse : ExtentType::se_sparse);
    else if (Descriptor::recognise(head))
      open_text();
    else
      throw Error(Errc::corrupt, "this is no VMDK: neither an extent nor a descriptor begins here");
    require_no_overlap();
    return std::make_unique<VmdkImage>(std::move(out_));
  }

 private:
  WarnLine warner() {
    return [this](const std::string& line) { context_.warn(line); };
  }

  void open_text();
  void open_with_embedded(ConstBytes head);
  void add_lines(const Descriptor& descriptor, bool embedded);
  void add_extent_alone(ExtentType type);
  void add_part(const ExtentLine& line, std::shared_ptr<Storage> storage, uint32_t file);
  std::pair<std::shared_ptr<Storage>, uint32_t> storage_of(const Descriptor& descriptor, const ExtentLine& line);
  std::shared_ptr<Storage> open_named(const Descriptor& descriptor, const std::string& name, bool device);
  void require_no_overlap() const;
  void warn_of_state(const ImagePart& part);
  bool over_parent() const;

  OpenContext& context_;
  ImageParts out_;
  std::map<std::string, uint32_t> opened_;  ///< name in the descriptor -> index in out_.files
};

bool Opener::over_parent() const {
  if (!out_.descriptor) return false;
  const auto cid = out_.descriptor->descriptor().parent_cid();
  return cid && *cid != kNoParentCid;
}

void Opener::open_text() {
  Storage& file = *context_.file();
  if (file.size() > context_.limits().descriptor_bytes)
    throw Error(Errc::limit, "a descriptor of " + std::to_string(file.size()) + " bytes, allowed are " +
                                 std::to_string(context_.limits().descriptor_bytes));
  auto descriptor = Descriptor::parse(read_head(file, file.size()), context_.limits(), warner());
  out_.descriptor = std::make_unique<DescriptorStore>(context_.file(), 0, 0, descriptor);
  if (descriptor.extents().empty()) throw Error(Errc::corrupt, "the descriptor names no extent");
  add_lines(descriptor, false);
}

void Opener::open_with_embedded(ConstBytes head) {
  Storage& file = *context_.file();
  const SparseHeader header = parse_sparse_header(head, file.size(), context_.limits());
  if (!header.has_descriptor()) {
    context_.warn("this is one extent of a disk, without a descriptor: open the descriptor to get the whole disk");
    return add_extent_alone(ExtentType::sparse);
  }
  const uint64_t area = header.descriptor_sectors * kSectorSize;
  std::vector<std::byte> text(area);
  file.read_at(header.descriptor_sector * kSectorSize, text);
  auto descriptor = Descriptor::parse(text, context_.limits(), warner());
  out_.descriptor = std::make_unique<DescriptorStore>(context_.file(), header.descriptor_sector * kSectorSize, area, descriptor);
  if (descriptor.extents().empty()) {
    context_.warn("the embedded descriptor names no extent");
    return add_extent_alone(ExtentType::sparse);
  }
  add_lines(descriptor, true);
}

void Opener::add_extent_alone(ExtentType type) {
  ImagePart part;
  part.line.type = type;
  part.line.name = base_name(context_.path());
  part.storage = context_.file();
  open_sparse_part(part, out_.writable, over_parent(), out_.limits, out_.sharers);
  part.size = part.driver->size();
  part.line.sectors = part.size / kSectorSize;
  warn_of_state(part);
  out_.parts.push_back(std::move(part));
}

/// A single embedded extent is the file itself whatever its line calls it: files get renamed. Among several, the one
/// that bears our name is.
void Opener::add_lines(const Descriptor& descriptor, bool embedded) {
  const auto& lines = descriptor.extents();
  const auto sparse = std::count_if(lines.begin(), lines.end(), [](const ExtentLine& line) { return is_sparse_type(line.type); });
  out_.sharers = std::max<uint64_t>(1, static_cast<uint64_t>(sparse));
  bool self_seen = false;
  for (const ExtentLine& line : lines) {
    const bool self = embedded && !self_seen && is_sparse_type(line.type) &&
                      (lines.size() == 1 || descriptor.to_utf8(line.name) == base_name(context_.path()));
    self_seen = self_seen || self;
    if (self) {
      add_part(line, context_.file(), 0);
    } else if (line.type == ExtentType::zero || line.access == ExtentAccess::no_access) {
      add_part(line, nullptr, 0);
    } else {
      auto [storage, file] = storage_of(descriptor, line);
      add_part(line, std::move(storage), file);
    }
  }
}

std::shared_ptr<Storage> Opener::open_named(const Descriptor& descriptor, const std::string& name, bool device) {
  const std::string utf8 = descriptor.to_utf8(name);
  try {
    return context_.open_reference(utf8, device);
  } catch (const Error& error) {
    if (error.code() != Errc::not_found || utf8 == name) throw;
  }
  // Copied by a tool that took the bytes as they are.
  return context_.open_reference(name, device);
}

/// Each file once, however many extents lie in it: its locks are ours already.
std::pair<std::shared_ptr<Storage>, uint32_t> Opener::storage_of(const Descriptor& descriptor, const ExtentLine& line) {
  const auto known = opened_.find(line.name);
  if (known != opened_.end()) return {out_.files[known->second], known->second};
  const std::string type = lower_case(descriptor.create_type());
  const bool device = is_device_type(line.type) || (type == "fulldevice" && line.type == ExtentType::flat) || names_device(line.name);
  auto storage = open_named(descriptor, line.name, device);
  const auto file = static_cast<uint32_t>(out_.files.size());
  out_.files.push_back(storage);
  opened_[line.name] = file;
  return {std::move(storage), file};
}

void Opener::add_part(const ExtentLine& line, std::shared_ptr<Storage> storage, uint32_t file) {
  ImagePart part;
  part.offset = out_.parts.empty() ? 0 : out_.parts.back().end();
  part.size = checked_mul(line.sectors, kSectorSize, "an extent's size");
  if (checked_add(part.offset, part.size, "the disk's size") > out_.limits.virtual_size)
    throw Error(Errc::limit, "the disk is larger than the " + std::to_string(out_.limits.virtual_size) + " bytes allowed");
  part.line = line;
  part.storage = std::move(storage);
  part.file = file;
  const bool writable = out_.writable && part.may_write();
  if (line.access == ExtentAccess::no_access) {
    part.driver = make_no_access_extent(part.size, line.name);
  } else if (line.type == ExtentType::zero) {
    part.driver = make_zero_extent(part.size);
  } else if (is_sparse_type(line.type)) {
    open_sparse_part(part, writable, over_parent(), out_.limits, out_.sharers);
    const uint64_t has = part.driver->size();
    if (has < part.size)
      throw Error(Errc::corrupt, "the descriptor gives the extent " + std::to_string(part.size) + " bytes, it has " + std::to_string(has))
          .in(part.storage->name());
    if (has > part.size) context_.warn("the extent \"" + line.name + "\" has more sectors than the descriptor says; the rest is left out");
  } else {
    part.driver = open_flat_extent(part.storage, line.offset_sectors * kSectorSize, part.size, writable);
  }
  warn_of_state(part);
  out_.parts.push_back(std::move(part));
}

/// T: such an extent is to be checked before it is used.
void Opener::warn_of_state(const ImagePart& part) {
  if (part.header && part.header->unclean)
    context_.warn("\"" + part.storage->name() + "\" is in use, or was not closed cleanly: `varve check` tells whether it is sound");
  if (part.header && part.header->lost_directory)
    context_.warn("\"" + part.storage->name() + "\" has only one of its two grain directories: `varve check --repair` drops the other");
}

/// Flat extents that share bytes of a file change each other's data when written [MEM-19].
void Opener::require_no_overlap() const {
  std::map<uint32_t, IntervalSet> taken;
  for (const ImagePart& part : out_.parts) {
    if (!part.storage) continue;
    const bool sparse = is_sparse_type(part.line.type);
    const uint64_t offset = sparse ? 0 : part.line.offset_sectors * kSectorSize;
    if (!taken[part.file].insert(offset, sparse ? part.storage->size() : part.size)) continue;
    const std::string what = "two extents share a part of the file \"" + part.line.name + "\"";
    if (out_.writable) throw Error(Errc::corrupt, what).hint("open the image for reading only");
    context_.warn(what);
  }
}

}  // namespace

void open_sparse_part(ImagePart& part, bool writable, bool over_parent, const Limits& limits, uint64_t sharers) {
  Limits share = limits;
  share.metadata_bytes /= sharers;
  const auto head = read_head(*part.storage, kSectorSize);
  try {
    if (is_sparse_header(head)) {
      part.header = parse_sparse_header(head, part.storage->size(), share);
      if (part.header->compressed())
        part.driver = std::make_unique<StreamExtent>(part.storage, *part.header, share);
      else
        part.driver =
            std::make_unique<SparseExtent>(part.storage, *part.header, SparseMode{writable, over_parent, share, limits.metadata_bytes});
    } else if (is_cowd_header(head)) {
      part.driver = open_cowd_extent(part.storage, share);
    } else if (is_sesparse_header(head)) {
      part.driver = open_sesparse_extent(part.storage, share);
    } else {
      throw Error(Errc::corrupt, "a sparse extent does not begin with a header of one");
    }
  } catch (Error& error) {
    error.add_path(part.storage->name());
    throw;
  }
}

ProbeResult probe_image(const ProbeInput& input) {
  // A guest can write each of these to the front of a raw disk.
  ProbeResult result;
  result.matches =
      is_sparse_header(input.head) || is_cowd_header(input.head) || is_sesparse_header(input.head) || Descriptor::recognise(input.head);
  result.forgeable = true;
  return result;
}

std::unique_ptr<VmdkImage> open_image(OpenContext& context) { return Opener(context).open(); }

}  // namespace varve::vmdk
