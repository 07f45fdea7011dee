// The keys of an encrypted image, and what they are used for (docs/formats/varve.md, section 13).
//
// Each program that writes to an image is a session with a random salt of its own. From the master key and that salt come all other keys,
// one for each generation and part of the file, so no number that outlives a session feeds a nonce.
#ifndef VARVE_FORMATS_NATIVE_CIPHER_H
#define VARVE_FORMATS_NATIVE_CIPHER_H

#include <array>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <vector>

#include "base/random.h"
#include "base/uuid.h"
#include "crypto/gcm.h"
#include "native/pointer.h"
#include "varve/secret.h"

namespace varve::native {

/// Epochs ascend; the last one is what is written with.
struct MasterKey {
  uint32_t epoch = 0;
  Secret key;
};
using MasterKeys = std::vector<MasterKey>;

struct Session {
  uint64_t first = 0;  ///< generation
  uint32_t epoch = 0;  ///< of the master key
  SaltBytes salt{};
};

/// Extents between `begin` and `end` that bear an older birth were written in `generation`: by a repair, which keeps births.
struct Rewrite {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t generation = 0;
};

/// Thread-safe. Every call that seals or opens throws io in a child of the process that made this: parent and child would use the same
/// nonces.
class Cipher {
 public:
  Cipher(const Uuid& crypt_uuid, uint64_t unit, MasterKeys keys);

  const Uuid& crypt_uuid() const { return crypt_uuid_; }
  const MasterKeys& master_keys() const { return keys_; }
  void require_own_process() const;

  // ---- sessions ----------------------------------------------------------------------------------
  /// From `first` on extents are written under a new salt.
  void begin_session(uint64_t first, RandomSource& random);
  const Session& session() const { return current_; }  ///< the one that was begun
  bool has_session() const { return begun_; }
  void note_rewrite(uint64_t offset, uint64_t length, uint64_t generation);
  /// A later key, which the next session writes with.
  void add_master_key(MasterKey key);
  /// Of older epochs. To be called when what is being built refers to nothing that they wrote.
  void forget_older_sessions();
  /// To be called when no superblock refers to anything under them.
  void forget_older_keys();
  bool uses_older_epochs() const;
  /// As it is stored, before encryption: whole blocks.
  std::vector<std::byte> session_table() const;
  /// Throws corrupt for what is none. `epoch`: of the superblock that leads to it, whose salt is `salt`.
  void load_session_table(ConstBytes table, const Session& of_superblock);

  // ---- extents -----------------------------------------------------------------------------------
  /// `pointer` is complete but for its tag, which is returned. `in` and `out` may be the same.
  TagBytes seal(const Pointer& pointer, ConstBytes in, MutableBytes out);
  /// False: these are not the bytes that were written; they are wiped then.
  [[nodiscard]] bool open(const Pointer& pointer, MutableBytes bytes);
  /// The table itself is under the session of the superblock that leads to it.
  TagBytes seal_table(const Pointer& pointer, const Session& session, MutableBytes bytes) const;
  [[nodiscard]] bool open_table(const Pointer& pointer, const Session& session, MutableBytes bytes) const;

  // ---- superblocks and journal ---------------------------------------------------------------------
  /// Encrypts what is not in clear, and sets nonce, salt and tag.
  void seal(SuperblockRaw& raw, RandomSource& random) const;
  /// Under whichever master key it is right; nullopt: under none, and `raw` is of no use then.
  std::optional<Session> open(SuperblockRaw& raw) const;

  /// Of the journal of one generation.
  std::shared_ptr<const GcmKey> journal_key(uint64_t generation, const Session& session) const;
  /// A whole record, its tag included, in place.
  void seal_record(const GcmKey& key, MutableBytes record) const;
  [[nodiscard]] bool open_record(const GcmKey& key, MutableBytes record) const;

  /// Of any generation that this image knows.
  Session session_of(uint64_t generation) const;

 private:
  using KeyPtr = std::shared_ptr<const GcmKey>;
  struct DataKey {
    uint64_t generation;
    uint64_t part;  ///< of the file
    auto operator<=>(const DataKey&) const = default;
  };

  KeyPtr derive(const char* label, const Session& session, uint64_t generation, uint64_t part) const;
  const Secret& master(uint32_t epoch) const;
  uint64_t written_in(const Pointer& pointer) const;
  KeyPtr data_key(uint64_t generation, uint64_t offset);
  GcmNonce nonce_of(const Pointer& pointer, uint64_t generation) const;
  std::array<uint8_t, 48> associated_with(const Pointer& pointer, uint64_t generation) const;

  const Uuid crypt_uuid_;
  const uint64_t unit_;
  const uint64_t forks_;

  mutable std::shared_mutex table_mutex_;  // covers what follows
  MasterKeys keys_;
  std::vector<Session> sessions_;  ///< ascending
  std::vector<Rewrite> rewrites_;
  Session current_;
  bool begun_ = false;

  std::mutex cache_mutex_;  // innermost; covers what follows
  std::list<std::pair<DataKey, KeyPtr>> order_;
  std::map<DataKey, std::list<std::pair<DataKey, KeyPtr>>::iterator> cached_;
};

}  // namespace varve::native

#endif
