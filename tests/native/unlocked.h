// The structures of an image as tests look at them, encrypted or not.
#ifndef VARVE_TESTS_NATIVE_UNLOCKED_H
#define VARVE_TESTS_NATIVE_UNLOCKED_H

#include <memory>

#include "native/cipher.h"
#include "native/key_area.h"
#include "native/superblock.h"
#include "support/secrets.h"
#include "varve/error.h"

namespace varve::test {

struct Unlocked {
  native::Headers headers;
  std::shared_ptr<native::Cipher> cipher;  ///< nullptr without encryption
  native::Superblocks superblocks;
};

/// Under test_key(). The sessions are those of the newest superblock.
inline Unlocked unlocked(Storage& file) {
  Unlocked all;
  all.headers = native::read_headers(file);
  const native::Header& header = all.headers.header;
  if (header.encrypted) {
    const native::KeyArea area = native::read_key_area(file);
    native::Unlocked keys = native::unlock(*area.raw, all.headers, raw_key(), {}, {});
    all.cipher = std::make_shared<native::Cipher>(header.crypt_uuid, header.unit, std::move(keys.keys));
  }
  all.superblocks = native::read_superblocks(file, header, all.cipher.get());
  if (all.cipher == nullptr) return all;
  const native::Superblock& current = all.superblocks.current;
  std::vector<std::byte> table(current.sessions.length);
  file.read_at(current.sessions.offset, table);
  if (!all.cipher->open_table(current.sessions, current.session, table)) throw Error(Errc::corrupt, "the table of sessions is damaged");
  all.cipher->load_session_table(table, current.session);
  return all;
}

}  // namespace varve::test

#endif
