#include "crypto/gcm.h"

#include <openssl/evp.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <new>

#include "crypto/kdf.h"
#include "varve/error.h"

namespace varve {
namespace {

[[noreturn]] void failed() { throw Error(Errc::io, "OpenSSL can't encrypt"); }

void require(bool done) {
  if (!done) failed();
}

/// Fetched once: that takes longer than a block.
const EVP_CIPHER* cipher() {
  static EVP_CIPHER* const kCipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  if (kCipher == nullptr) failed();
  return kCipher;
}

const unsigned char* raw(ConstBytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }  // NOLINT
unsigned char* raw(MutableBytes bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }            // NOLINT

int size_of(ConstBytes bytes) {
  if (bytes.size() > static_cast<size_t>(std::numeric_limits<int>::max())) failed();
  return static_cast<int>(bytes.size());
}

std::atomic<GcmWatch> watching{nullptr};

}  // namespace

void watch_gcm(GcmWatch watch) noexcept { watching.store(watch); }

struct GcmKey::Context {
  Context() : evp(EVP_CIPHER_CTX_new()) {
    if (evp == nullptr) throw std::bad_alloc();
  }
  ~Context() { EVP_CIPHER_CTX_free(evp); }  // wipes the key
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  /// `direction`: 1 to encrypt, 0 to decrypt.
  void run(int direction, const GcmNonce& nonce, ConstBytes associated, std::span<const GcmPiece> pieces) const {
    int written = 0;
    require(EVP_CipherInit_ex2(evp, nullptr, nullptr, nonce.data(), direction, nullptr) == 1);
    require(EVP_CipherUpdate(evp, nullptr, &written, raw(associated), size_of(associated)) == 1);
    for (const GcmPiece& piece : pieces)
      if (!piece.in.empty()) require(EVP_CipherUpdate(evp, raw(piece.out), &written, raw(piece.in), size_of(piece.in)) == 1);
  }

  EVP_CIPHER_CTX* evp;
};

GcmKey::GcmKey(ConstBytes key)
    : keyed_(std::make_unique<Context>()), contexts_([this] {
        auto copy = std::make_unique<Context>();
        require(EVP_CIPHER_CTX_copy(copy->evp, keyed_->evp) == 1);
        return copy;
      }) {
  require(key.size() == kGcmKeySize);
  require(EVP_CipherInit_ex2(keyed_->evp, cipher(), raw(key), nullptr, 1, nullptr) == 1);
  if (watching.load(std::memory_order_relaxed) != nullptr) digest_ = hmac_sha256(key, {});
}

GcmKey::~GcmKey() = default;

GcmTag GcmKey::seal(const GcmNonce& nonce, ConstBytes associated, std::span<const GcmPiece> pieces) const {
  if (const GcmWatch watch = watching.load(std::memory_order_relaxed); watch != nullptr) watch(digest_, nonce);
  const auto context = contexts_.borrow();
  context->run(1, nonce, associated, pieces);
  GcmTag tag;
  int written = 0;
  require(EVP_CipherFinal_ex(context->evp, tag.data(), &written) == 1);
  require(EVP_CIPHER_CTX_ctrl(context->evp, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(tag.size()), tag.data()) == 1);
  return tag;
}

GcmTag GcmKey::seal(const GcmNonce& nonce, ConstBytes associated, ConstBytes in, MutableBytes out) const {
  const GcmPiece piece{in, out};
  return seal(nonce, associated, {&piece, 1});
}

bool GcmKey::open(const GcmNonce& nonce, ConstBytes associated, std::span<const GcmPiece> pieces, const GcmTag& tag) const {
  const auto context = contexts_.borrow();
  GcmTag expected = tag;
  unsigned char rest = 0;
  int written = 0;
  try {
    context->run(0, nonce, associated, pieces);
    require(EVP_CIPHER_CTX_ctrl(context->evp, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(expected.size()), expected.data()) == 1);
    if (EVP_CipherFinal_ex(context->evp, &rest, &written) == 1) return true;
  } catch (...) {
    for (const GcmPiece& piece : pieces) wipe(piece.out);
    throw;
  }
  for (const GcmPiece& piece : pieces) wipe(piece.out);
  return false;
}

bool GcmKey::open(const GcmNonce& nonce, ConstBytes associated, ConstBytes in, MutableBytes out, const GcmTag& tag) const {
  const GcmPiece piece{in, out};
  return open(nonce, associated, {&piece, 1}, tag);
}

}  // namespace varve
