#include "crypto/kdf.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include <limits>
#include <memory>
#include <new>
#include <string>

#include "varve/error.h"

namespace varve {
namespace {

[[noreturn]] void failed(const char* what) { throw Error(Errc::io, std::string("OpenSSL can't derive a key: ") + what); }

const unsigned char* raw(ConstBytes bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }  // NOLINT
unsigned char* raw(MutableBytes bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }            // NOLINT

OSSL_PARAM octets(const char* name, ConstBytes bytes) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): OpenSSL only reads it
  return OSSL_PARAM_construct_octet_string(name, const_cast<std::byte*>(bytes.data()), bytes.size());
}

/// The thread's queue of OpenSSL errors is the program's: what is added while this lives is taken out again.
struct SameErrors {
  SameErrors() { ERR_set_mark(); }
  ~SameErrors() { ERR_pop_to_mark(); }
  SameErrors(const SameErrors&) = delete;
  SameErrors& operator=(const SameErrors&) = delete;
};

/// `name` of a KDF, run once.
Secret derive(const char* name, const OSSL_PARAM* params, size_t size) {
  const SameErrors same_errors;
  const std::unique_ptr<EVP_KDF, decltype(&EVP_KDF_free)> kdf(EVP_KDF_fetch(nullptr, name, nullptr), EVP_KDF_free);
  if (kdf == nullptr) failed(name);
  const std::unique_ptr<EVP_KDF_CTX, decltype(&EVP_KDF_CTX_free)> context(EVP_KDF_CTX_new(kdf.get()), EVP_KDF_CTX_free);
  if (context == nullptr) throw std::bad_alloc();
  Secret out(size);
  if (EVP_KDF_derive(context.get(), raw(out.bytes()), size, params) != 1) failed(name);
  return out;
}

/// OpenSSL refuses a null pointer, also of no bytes.
ConstBytes not_null(ConstBytes bytes) {
  static constexpr std::byte kNothing{};
  return bytes.data() == nullptr ? ConstBytes(&kNothing, 0) : bytes;
}

char sha256[] = "SHA256";  // NOLINT: OSSL_PARAM wants no const

}  // namespace

Secret hkdf_sha256(ConstBytes key, ConstBytes salt, ConstBytes info, size_t size) {
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256, 0),
                               octets(OSSL_KDF_PARAM_KEY, not_null(key)), octets(OSSL_KDF_PARAM_SALT, not_null(salt)),
                               octets(OSSL_KDF_PARAM_INFO, not_null(info)), OSSL_PARAM_construct_end()};
  return derive("HKDF", params, size);
}

Secret scrypt(ConstBytes passphrase, ConstBytes salt, uint32_t log2_n, uint32_t r, uint32_t p, size_t size) {
  if (log2_n > 40) failed("too large an N for scrypt");
  uint64_t n = uint64_t{1} << log2_n;
  uint64_t memory = uint64_t{128} * r * (n + p + 2) + (uint64_t{1} << 20);  // its own bound: the caller has set another
  const OSSL_PARAM params[] = {octets(OSSL_KDF_PARAM_PASSWORD, not_null(passphrase)),
                               octets(OSSL_KDF_PARAM_SALT, not_null(salt)),
                               OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_N, &n),
                               OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_R, &r),
                               OSSL_PARAM_construct_uint32(OSSL_KDF_PARAM_SCRYPT_P, &p),
                               OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_SCRYPT_MAXMEM, &memory),
                               OSSL_PARAM_construct_end()};
  return derive("SCRYPT", params, size);
}

Secret pbkdf2_sha256(ConstBytes passphrase, ConstBytes salt, uint64_t iterations, size_t size) {
  int any = 1;  // as RFC 8018 has it, without the lower bounds of SP 800-132
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, sha256, 0),
                               octets(OSSL_KDF_PARAM_PASSWORD, not_null(passphrase)),
                               octets(OSSL_KDF_PARAM_SALT, not_null(salt)),
                               OSSL_PARAM_construct_uint64(OSSL_KDF_PARAM_ITER, &iterations),
                               OSSL_PARAM_construct_int(OSSL_KDF_PARAM_PKCS5, &any),
                               OSSL_PARAM_construct_end()};
  return derive("PBKDF2", params, size);
}

std::array<uint8_t, 32> hmac_sha256(ConstBytes key, ConstBytes message) {
  const SameErrors same_errors;
  std::array<uint8_t, 32> tag{};
  if (key.size() > static_cast<size_t>(std::numeric_limits<int>::max())) failed("HMAC");
  const int key_size = static_cast<int>(key.size());
  if (HMAC(EVP_sha256(), not_null(key).data(), key_size, raw(message), message.size(), tag.data(), nullptr) == nullptr) failed("HMAC");
  return tag;
}

bool equal_in_constant_time(ConstBytes a, ConstBytes b) noexcept {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

void wipe(MutableBytes bytes) noexcept { OPENSSL_cleanse(bytes.data(), bytes.size()); }

}  // namespace varve
