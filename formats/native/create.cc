#include "native/create.h"

#include <algorithm>
#include <charconv>
#include <string>

#include "base/checked_math.h"
#include "base/random.h"
#include "varve/error.h"

namespace varve::native {
namespace {

struct Compression {
  CodecId codec = CodecId::none;
  int level = 0;
};

/// "none", "zstd", "zstd:3", "zlib:6".
Compression parse_compression(const std::string& text) {
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  Compression compression;
  if (name == "none" && colon == std::string::npos) return compression;
  const bool zstd = name == "zstd";
  if (!zstd && name != "zlib")
    throw Error(Errc::invalid_argument, "option compression can't be '" + text + "'").hint("give none, zstd[:LEVEL] or zlib[:LEVEL]");
  compression.codec = zstd ? CodecId::zstd : CodecId::zlib;
  compression.level = zstd ? 3 : 6;
  if (colon != std::string::npos) {
    const char* end = text.data() + text.size();
    const auto [stop, fault] = std::from_chars(text.data() + colon + 1, end, compression.level);
    const bool in_range = zstd ? compression.level >= -50 && compression.level <= 22 && compression.level != 0
                               : compression.level >= 1 && compression.level <= 9;
    if (fault != std::errc() || stop != end || !in_range) {
      throw Error(Errc::invalid_argument, "option compression can't be '" + text + "'")
          .hint(zstd ? "levels of zstd are 1 to 22, and -1 to -50 for speed" : "levels of zlib are 1 to 9");
    }
  }
  return compression;
}

Header plan(const OptionValues& options, RandomSource& random) {
  const Compression compression = parse_compression(options.text("compression"));
  Header header;
  header.image_uuid = random_uuid(random);
  header.crypt_uuid = random_uuid(random);
  header.cluster_size = options.number("cluster_size");
  header.codec = compression.codec;
  header.level = compression.level;
  header.unit = compression.codec == CodecId::none ? 4096 : 512;
  header.encrypted = options.text("encryption") != "none";
  header.journal_bytes = options.number("journal_size");
  const uint64_t journal = header.journal_bytes;
  if (journal != 0 && (journal < kMinJournal || journal % (2 * kBlock) != 0)) {
    throw Error(Errc::invalid_argument, "option journal_size can't be " + std::to_string(journal))
        .hint("give a multiple of 8 KiB from 64 KiB on, or 0 for none");
  }
  return header;
}

KeyDerivation derivation(const OptionValues& options) {
  KeyDerivation how;
  how.kind = options.text("kdf") == "pbkdf2" ? KdfKind::pbkdf2 : KdfKind::scrypt;
  const uint64_t cost = options.number("kdf_cost");
  if (cost != 0 && how.kind == KdfKind::scrypt) how.log2_n = static_cast<uint32_t>(std::min<uint64_t>(cost, UINT32_MAX));
  if (cost != 0 && how.kind == KdfKind::pbkdf2) how.iterations = cost;
  return how;
}

/// A new master key, and the slot of the secret that is to open the image.
void add_keys(ImageParts& parts, CreateContext& context) {
  const KeyDerivation how = derivation(context.options());
  const std::optional<KeySecret> secret = context.secret() ? context.secret()({context.path(), 0}) : std::nullopt;
  if (!secret)
    throw Error(Errc::authentication, "the new image is to be encrypted, and no passphrase or key was given")
        .hint("give one with --out-key-file FILE");
  require_strong(*secret, how, context.limits());
  const Header& header = parts.headers.header;
  MasterKeys keys;
  keys.push_back({1, Secret(kGcmKeySize)});
  context.random().fill(keys.back().key.bytes());
  parts.key_area = new_key_area();
  parts.key_area.raw->sequence = 1;
  fill_slot(*parts.key_area.raw, 0, header.crypt_uuid, keys, *secret, how, context.random());
  parts.headers.raw = encode(header);
  authenticate(*parts.key_area.raw, parts.headers.raw, header.crypt_uuid, keys);
  parts.cipher = std::make_shared<Cipher>(header.crypt_uuid, header.unit, std::move(keys));
}

}  // namespace

std::vector<OptionSpec> create_option_specs() {
  return {
      {"cluster_size", OptionType::size, "64K", "unit of allocation, compression and sharing", {}, kMinCluster, kMaxCluster, true},
      {"compression", OptionType::text, "none", "of what is written: none, zstd[:LEVEL] or zlib[:LEVEL]"},
      {"journal_size",
       OptionType::size,
       "16M",
       "room for small flushes between commits, 0 for none; taken when first needed",
       {},
       0,
       kMaxJournal,
       false},
      {"encryption", OptionType::choice, "none", "of everything, with authentication", {"none", "aes-256-gcm"}},
      {"kdf", OptionType::choice, "scrypt", "what a passphrase is stretched with, if the image is encrypted", {"scrypt", "pbkdf2"}},
      {"kdf_cost", OptionType::number, "0", "log2 of scrypt's N, or PBKDF2's iterations; 0: 17, or 1000000"},
  };
}

std::unique_ptr<NativeImage> create_image(CreateContext& context) {
  if (context.streaming()) throw Error(Errc::unsupported, "this format can't go down a pipe").hint("write it to a file");
  if (context.size() > kMaxSize) throw Error(Errc::limit, "a disk of this format has at most 2^62 bytes");
  ImageParts parts;
  parts.file = context.file();
  parts.headers.header = plan(context.options(), context.random());
  parts.writable = true;
  parts.created = true;
  parts.limits = context.limits();
  parts.random = &context.random();
  Superblock& empty = parts.superblocks.current;
  empty.head.size = context.size();
  empty.head.height = static_cast<uint8_t>(height_of(context.size(), parts.headers.header.cluster_size));
  if (parts.headers.header.encrypted) add_keys(parts, context);
  parts.file->resize(kFirstExtent);
  auto image = std::make_unique<NativeImage>(std::move(parts));
  if (const CreateContext::Parent* parent = context.parent())
    image->set_parent_reference({1, parent->format, parent->name, parent->identity});
  return image;
}

uint64_t measure_image(const OptionValues& options, uint64_t size, const FormatDriver::CountUnits& count) {
  if (size > kMaxSize) throw Error(Errc::limit, "a disk of this format has at most 2^62 bytes");
  const uint64_t cluster = options.number("cluster_size");
  parse_compression(options.text("compression"));
  // Nodes leave memory on the way where there are many, and those above them are written once more later.
  constexpr uint64_t kSlack = 64 << 10;
  constexpr uint64_t kRewritten = 256;
  uint64_t nodes = 0;
  uint64_t unit = cluster;
  for (unsigned level = 0; level < height_of(size, cluster); ++level) {
    unit = unit > size / kFanout ? std::max(size, uint64_t{1}) : unit * kFanout;
    nodes += count(unit);
  }
  const uint64_t sessions = options.text("encryption") == "none" ? 0 : kBlock;
  return kFirstExtent + sessions + checked_mul(count(cluster), cluster) + (nodes + nodes / kRewritten) * kNodeSize + kSlack;
}

}  // namespace varve::native
