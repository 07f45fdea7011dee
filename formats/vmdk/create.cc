#include "vmdk/create.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/checked_math.h"
#include "io/references.h"
#include "varve/error.h"
#include "vmdk/flat_extent.h"
#include "vmdk/new_descriptor.h"
#include "vmdk/sparse_extent.h"
#include "vmdk/stream_writer.h"

namespace varve::vmdk {
namespace {

std::string base_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

/// "disk" of "disk.vmdk"; another extension stays, so that two images never share their parts.
std::string stem_of(const std::string& name) { return name.ends_with(".vmdk") && name.size() > 5 ? name.substr(0, name.size() - 5) : name; }

std::string number_text(const char* prefix, uint64_t number) {
  std::string digits = std::to_string(number);
  digits.insert(0, digits.size() < 3 ? 3 - digits.size() : 0, '0');
  return prefix + digits;
}

/// Puts a new image together.
class Creator {
 public:
  explicit Creator(CreateContext& context)
      : context_(context),
        plan_(make_plan(context.options(), context.streaming())),
        size_(disk_size(context)),
        parent_(parent_of(context)) {
    out_.writable = true;
    out_.created = true;
    out_.limits = context.limits();
    out_.random = &context.random();
    out_.files.push_back(context.file());
  }

  std::unique_ptr<VmdkImage> create() {
    check_plan();
    switch (plan_.subformat) {
      case Subformat::monolithic_sparse: create_monolithic_sparse(); break;
      case Subformat::stream_optimized: create_stream(); break;
      default: create_parts();
    }
    return std::make_unique<VmdkImage>(std::move(out_));
  }

 private:
  static uint64_t disk_size(CreateContext& context);
  static ParentReference parent_of(CreateContext& context);
  void check_plan() const;
  void create_monolithic_sparse();
  void create_stream();
  void create_parts();
  std::vector<ExtentLine> plan_lines() const;
  void add_created_part(const ExtentLine& line, std::shared_ptr<Storage> file, uint32_t index, uint64_t descriptor_sectors);
  Descriptor describe(const std::vector<ExtentLine>& lines) const;
  void write_descriptor(const Descriptor& descriptor, uint64_t offset, uint64_t area);

  CreateContext& context_;
  const CreatePlan plan_;
  const uint64_t size_;
  const ParentReference parent_;
  ImageParts out_;
};

uint64_t Creator::disk_size(CreateContext& context) {
  const uint64_t size = context.size();
  if (size == 0) throw Error(Errc::invalid_argument, "a VMDK has at least one sector").hint("give a size of 512 bytes or more");
  if (size > UINT64_MAX - kSectorSize) throw Error(Errc::limit, "the disk is too large");
  if (size % kSectorSize != 0) {
    context.warn("the size is rounded up to " + std::to_string(align_up(size, kSectorSize)) +
                 " bytes: a VMDK consists of sectors of 512 bytes");
  }
  return align_up(size, kSectorSize);
}

ParentReference Creator::parent_of(CreateContext& context) {
  const CreateContext::Parent* parent = context.parent();
  return parent == nullptr ? ParentReference{} : reference_to(*parent);
}

void Creator::check_plan() const {
  const bool sparse = plan_.subformat == Subformat::monolithic_sparse || plan_.subformat == Subformat::two_gb_sparse;
  if (parent_.cid != kNoParentCid && !sparse) {
    throw Error(Errc::unsupported, "a VMDK with a parent can't be " + std::string(subformat_name(plan_.subformat)))
        .hint("give subformat=monolithicSparse or twoGbMaxExtentSparse");
  }
}

Descriptor Creator::describe(const std::vector<ExtentLine>& lines) const {
  return new_descriptor(plan_, size_, lines, parent_, context_.random());
}

void Creator::write_descriptor(const Descriptor& descriptor, uint64_t offset, uint64_t area) {
  const std::string text = descriptor.text();
  if (area != 0 && text.size() > area)
    throw Error(Errc::limit, "the descriptor has no room for names of this length").hint("choose shorter file names");
  context_.file()->write_at(offset, std::as_bytes(std::span(text)));
  out_.descriptor = std::make_unique<DescriptorStore>(context_.file(), offset, area, descriptor);
}

void Creator::create_monolithic_sparse() {
  ExtentLine line;
  line.sectors = size_ / kSectorSize;
  line.type = ExtentType::sparse;
  line.name = base_name(context_.path());
  const Descriptor descriptor = describe({line});
  add_created_part(line, context_.file(), 0, kDescriptorSectors);
  write_descriptor(descriptor, kSectorSize, kDescriptorSectors * kSectorSize);
}

void Creator::create_stream() {
  ExtentLine line;
  line.access = ExtentAccess::read_write;
  line.sectors = size_ / kSectorSize;
  line.type = ExtentType::sparse;
  // What a pipe ends in has no name yet; ESXi's own exports say the same.
  line.name = context_.streaming() ? "generated-stream.vmdk" : base_name(context_.path());
  const Descriptor descriptor = describe({line});
  StreamParameters parameters;
  parameters.size = size_;
  parameters.grain_sectors = plan_.grain_sectors;
  parameters.level = plan_.level;
  parameters.descriptor = descriptor.text();
  parameters.descriptor_sectors = kDescriptorSectors;
  parameters.append_only = context_.streaming();
  if (parameters.descriptor.size() > kDescriptorSectors * kSectorSize)
    throw Error(Errc::limit, "the descriptor has no room for a name of this length").hint("choose a shorter file name");
  auto writer = std::make_unique<StreamWriter>(context_.file(), std::move(parameters));
  ImagePart part;
  part.size = size_;
  part.line = line;
  part.storage = context_.file();
  part.header = writer->header();
  part.driver = std::move(writer);
  out_.parts.push_back(std::move(part));
  // The writer stores the text; this is for those who ask what it says.
  out_.descriptor = std::make_unique<DescriptorStore>(context_.file(), kSectorSize, kDescriptorSectors * kSectorSize, descriptor);
}

/// The extents of the subformats that have a text file in front.
std::vector<ExtentLine> Creator::plan_lines() const {
  const std::string stem = stem_of(base_name(context_.path()));
  const bool split = plan_.subformat == Subformat::two_gb_sparse || plan_.subformat == Subformat::two_gb_flat;
  const uint64_t total = size_ / kSectorSize;
  if (split && div_ceil(total, kSplitSectors) > context_.limits().extents) {
    throw Error(Errc::limit, "the disk would have more than " + std::to_string(context_.limits().extents) + " extents")
        .hint("choose monolithicFlat or vmfs");
  }
  std::vector<ExtentLine> lines;
  for (uint64_t done = 0; done < total;) {
    ExtentLine line;
    line.sectors = split ? std::min(kSplitSectors, total - done) : total;
    line.type = plan_.subformat == Subformat::two_gb_sparse ? ExtentType::sparse
                : plan_.subformat == Subformat::vmfs        ? ExtentType::vmfs
                                                            : ExtentType::flat;
    const std::string suffix = !split                     ? "-flat"
                               : is_flat(plan_.subformat) ? number_text("-f", lines.size() + 1)
                                                          : number_text("-s", lines.size() + 1);
    line.name = stem + suffix + ".vmdk";
    lines.push_back(line);
    done += line.sectors;
  }
  return lines;
}

void Creator::create_parts() {
  const std::vector<ExtentLine> lines = plan_lines();
  try {
    for (const ExtentLine& line : lines) check_reference_name(line.name, References::inside);
  } catch (const Error&) {
    throw Error(Errc::invalid_argument, "the files of the image would have names that can't be opened again: with a colon or a backslash")
        .hint("choose another name for the image");
  }
  const Descriptor descriptor = describe(lines);
  out_.sharers = lines.size();
  for (const ExtentLine& line : lines) {
    auto file = context_.add_file(line.name);
    out_.files.push_back(file);
    add_created_part(line, std::move(file), static_cast<uint32_t>(out_.files.size() - 1), 0);
  }
  write_descriptor(descriptor, 0, 0);
}

void Creator::add_created_part(const ExtentLine& line, std::shared_ptr<Storage> file, uint32_t index, uint64_t descriptor_sectors) {
  ImagePart part;
  part.offset = out_.parts.empty() ? 0 : out_.parts.back().end();
  part.size = line.sectors * kSectorSize;
  part.line = line;
  part.storage = file;
  part.file = index;
  if (is_flat(plan_.subformat)) {
    file->resize(part.size);
    part.driver = open_flat_extent(std::move(file), 0, part.size, true);
  } else {
    const SparseLayout layout = lay_out_sparse(part.size, plan_.grain_sectors, descriptor_sectors, plan_.zeroed_grains);
    part.header = layout.header;
    Limits share = context_.limits();
    share.metadata_bytes /= out_.sharers;
    part.driver = std::make_unique<SparseExtent>(std::move(file), layout,
                                                 SparseMode{true, parent_.cid != kNoParentCid, share, context_.limits().metadata_bytes});
  }
  out_.parts.push_back(std::move(part));
}

}  // namespace

std::unique_ptr<VmdkImage> create_image(CreateContext& context) { return Creator(context).create(); }

}  // namespace varve::vmdk
