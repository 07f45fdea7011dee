#include "native/locked.h"

#include <algorithm>
#include <string>

#include "base/checked_math.h"
#include "varve/error.h"

namespace varve::native {
namespace {

/// Asks for secrets until one is right.
std::optional<Unlocked> ask(OpenContext& context, const ImageParts& parts) {
  const Unlock& how = context.unlock();
  std::optional<Error> wrong;
  for (unsigned attempt = 0;; ++attempt) {
    const std::optional<KeySecret> secret = how.secret ? how.secret({context.path(), attempt}) : std::nullopt;
    if (!secret && wrong) throw Error(*wrong);
    if (!secret && how.for_info) return std::nullopt;
    if (!secret)
      throw Error(Errc::authentication, "the image is encrypted, and no passphrase or key was given").hint("give one with --key-file FILE");
    try {
      return unlock(*parts.key_area.raw, parts.headers, *secret, how.slot, context.limits());
    } catch (const Error& error) {
      if (error.code() != Errc::authentication) throw;
      wrong = error;
    }
  }
}

/// The higher one that the slots claim: nothing has been verified.
uint64_t claimed_generation(Storage& file) {
  uint64_t newest = 0;
  for (const uint64_t parity : {0, 1}) {
    if (!range_fits(superblock_offset(parity), kBlock, file.size())) continue;
    std::vector<std::byte> bytes(kBlock);
    file.read_at(superblock_offset(parity), bytes);
    const auto raw = load<SuperblockRaw>(bytes);
    if (raw.magic == kSuperblockMagic && raw.generation % 2 == parity) newest = std::max<uint64_t>(newest, raw.generation);
  }
  return newest;
}

class LockedImage final : public FormatImage, private Keys {
 public:
  explicit LockedImage(ImageParts parts) : parts_(std::move(parts)), generation_(claimed_generation(*parts_.file)) {}

  ImageInfo info() const override {
    ImageInfo info;
    info.files = {parts_.file->name()};
    info.allocated_bytes = parts_.file->allocated_bytes();
    info.cluster_size = static_cast<uint32_t>(parts_.headers.header.cluster_size);
    info.encrypted = true;
    info.locked = true;
    describe(parts_.headers.header, generation_, info.details);
    return info;
  }
  uint64_t size() const override { return 0; }
  void read_at(uint64_t, MutableBytes) override { refuse(); }
  Extent extent_at(uint64_t, uint64_t) override { refuse(); }
  CheckReport check(const CheckOptions&) override { refuse(); }
  Keys* keys() override { return this; }

 private:
  std::vector<KeySlotInfo> list() override { return slots_of(*parts_.key_area.raw); }
  unsigned add(const KeySecret&, const KeyDerivation&) override { refuse(); }
  void change(unsigned, const KeySecret&, const KeyDerivation&) override { refuse(); }
  void remove(unsigned) override { refuse(); }
  void rotate(const RotateOptions&) override { refuse(); }

  [[noreturn]] static void refuse() {
    throw Error(Errc::authentication, "the image is encrypted, and was opened without a passphrase or key");
  }

  const ImageParts parts_;
  const uint64_t generation_;
};

}  // namespace

bool open_cipher(OpenContext& context, ImageParts& parts) {
  const Header& header = parts.headers.header;
  if (!header.encrypted) return true;
  parts.key_area = read_key_area(*parts.file);
  std::optional<Unlocked> unlocked = ask(context, parts);
  if (!unlocked) return false;
  parts.cipher = std::make_shared<Cipher>(header.crypt_uuid, header.unit, std::move(unlocked->keys));
  parts.opened = std::move(*unlocked);
  return true;
}

void finish_cipher(OpenContext& context, ImageParts& parts) {
  const Superblock& current = parts.superblocks.current;
  if (current.generation < context.unlock().min_generation)
    throw Error(Errc::authentication, "the image is at generation " + std::to_string(current.generation) + ", and at least " +
                                          std::to_string(context.unlock().min_generation) + " is wanted: this is an older state of it");
  if (parts.cipher == nullptr) return;
  const bool accepted = context.unlock().accept_older_state || context.for_check() || context.unlock().for_info;
  if (!parts.superblocks.fault.empty() && !accepted)
    throw Error(Errc::corrupt,
                "one superblock does not count: " + parts.superblocks.fault + "; what the other one shows may be an older state")
        .hint("after a power cut that may be as it should be: --accept-older-state takes it");
  std::vector<std::byte> table(current.sessions.length);
  parts.file->read_at(current.sessions.offset, table);
  if (!parts.cipher->open_table(current.sessions, current.session, table))
    throw Error(Errc::corrupt, "the table of sessions is damaged, so nothing can be decrypted")
        .at(current.sessions.offset)
        .hint("restore the image from a copy");
  parts.cipher->load_session_table(table, current.session);
}

std::unique_ptr<FormatImage> open_locked(ImageParts parts) { return std::make_unique<LockedImage>(std::move(parts)); }

void describe(const Header& header, uint64_t generation, std::vector<std::pair<std::string, InfoValue>>& details) {
  const char* const names[] = {"none", "zlib", "zstd"};
  details.emplace_back("image_uuid", format_uuid(header.image_uuid));
  details.emplace_back("generation", generation);
  details.emplace_back("encryption", std::string(header.encrypted ? "aes-256-gcm" : "none"));
  details.emplace_back("compression", std::string(names[static_cast<size_t>(header.codec)]));
  details.emplace_back("unit", header.unit);
  details.emplace_back("journal_size", header.journal_bytes);
}

}  // namespace varve::native
