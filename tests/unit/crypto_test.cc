#include <openssl/err.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/hex.h"
#include "base/random.h"
#include "crypto/gcm.h"
#include "crypto/kdf.h"
#include "support/test.h"

using namespace varve;  // NOLINT: a test of one namespace

namespace {

using Bytes = std::vector<std::byte>;

ConstBytes bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

template <size_t N>
std::array<uint8_t, N> array_of(std::string_view digits) {
  const Bytes from = parse_hex(digits);
  REQUIRE(from.size() == N);
  std::array<uint8_t, N> to{};
  std::transform(from.begin(), from.end(), to.begin(), [](std::byte b) { return static_cast<uint8_t>(b); });
  return to;
}

GcmNonce nonce_of(std::string_view digits) { return array_of<12>(digits); }
GcmTag tag_of(std::string_view digits) { return array_of<16>(digits); }
std::string hex(const auto& array) { return to_hex(std::as_bytes(std::span(array))); }

bool is_zero(ConstBytes all) {
  return std::all_of(all.begin(), all.end(), [](std::byte b) { return b == std::byte{0}; });
}

/// 0, 1, 2, ... `n` bytes.
Bytes counting(size_t n, size_t first = 0) {
  Bytes all(n);
  for (size_t i = 0; i < n; ++i) all[i] = static_cast<std::byte>(first + i);
  return all;
}

struct GcmVector {
  const char* name;
  const char* key;
  const char* nonce;
  const char* associated;
  const char* plain;
  const char* sealed;
  const char* tag;
};

/// "CAVP m/a": gcmEncryptExtIV256.rsp of NIST, of m bits with a bits of associated data. "GCM n": test case n of McGrew and Viega, "The
/// Galois/Counter Mode of Operation". "Wycheproof n": aes_gcm_test.json, the tags of nothing but ones and zeros.
constexpr GcmVector kGcmVectors[] = {
    {"GCM 13", "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "", "", "",
     "530f8afbc74536b9a963b4f1c4cb738b"},
    {"GCM 14", "0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000", "",
     "00000000000000000000000000000000", "cea7403d4d606b6e074ec5d3baf39d18", "d0d1c8a799996bf0265b98b5d48ab919"},
    {"GCM 15", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888", "",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad",
     "b094dac5d93471bdec1a502270e3cc6c"},
    {"GCM 16", "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
     "feedfacedeadbeeffeedfacedeadbeefabaddad2",
     "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
     "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
     "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
     "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
     "76fc6ece0f4e1768cddf8853bb2d551b"},
    {"CAVP 0/0", "b52c505a37d78eda5dd34f20c22540ea1b58963cf8e5bf8ffa85f9f2492505b4", "516c33929df5a3284ff463d7", "", "", "",
     "bdc1ac884d332457a1d2664f168c76f0"},
    {"CAVP 0/128", "78dc4e0aaf52d935c3c01eea57428f00ca1fd475f5da86a49c8dd73d68c8e223", "d79cf22d504cc793c3fb6c8a",
     "b96baa8c1c75a671bfb2d08d06be5f36", "", "", "3e5d486aa2e30b22e040b85723a06e76"},
    {"CAVP 104/0", "e5a0eb92cc2b064e1bc80891faf1fab5e9a17a9c3a984e25416720e30e6c2b21", "4742357c335913153ff0eb0f", "",
     "8499893e16b0ba8b007d54665a", "eb8e6175f1fe38eb1acf95fd51", "88a8b74bb74fda553e91020a23deed45"},
    {"CAVP 104/720", "54c31fb2fb4aab6a82ce188e6afa71a3354811099d1203fe1f991746f7342f90", "f0fe974bdbe1694dc3b06cc6",
     "2879e05e0f8dd4402425eabb0dc184dcd07d46d54d775d7c2b76b0f76b3eed5f7ca93c6ae71bf509c270490269ea869ed6603fdf7113aa625648ab8ed88210f8"
     "b30ec9c94bca5757ca3d77491f64109101165636b068e3095cb4",
     "fbb7b3730f0cd7b1052a5298ee", "3a5a2a8aa93c462cfb80f1f728", "59ef9d54ee01fb6cd54bd0e08f74096f"},
    {"CAVP 128/0", "31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22", "0d18e06c7c725ac9e362e1ce", "",
     "2db5168e932556f8089a0622981d017d", "fa4362189661d163fcd6a56d8bf0405a", "d636ac1bbedd5cc3ee727dc2ab4a9489"},
    {"CAVP 256/0", "37f39137416bafde6f75022a7a527cc593b6000a83ff51ec04871a0ff5360e4e", "a291484c3de8bec6b47f525f", "",
     "fafd94cede8b5a0730394bec68a8e77dba288d6ccaa8e1563a81d6e7ccc7fc97", "44dc868006b21d49284016565ffb3979cc4271d967628bf7cdaf86db888e92e5",
     "01a2b578aa2f41ec6379a44a31cc019c"},
    {"CAVP 408/0", "595f259c55abe00ae07535ca5d9b09d6efb9f7e9abb64605c337acbd6b14fc7e", "92f258071d79af3e63672285", "",
     "a6fee33eb110a2d769bbc52b0f36969c287874f665681477a25fc4c48015c541fbe2394133ba490a34ee2dd67b898177849a91",
     "bbca4a9e09ae9690c0f6f8d405e53dccd666aa9c5fa13c8758bc30abe1ddd1bcce0d36a1eaaaaffef20cd3c5970b9673f8a65c",
     "26ccecb9976fd6ac9c2c0f372c52c821"},
    {"CAVP 408/128", "26dc5ce74b4d64d1dc2221cdd6a63d7a9226134708299cd719a68f636b6b5ebd", "0294c54ff4ed30782222c834",
     "2a9fb326f98bbe2d2cf57bae9ecbeff7",
     "ae4c7f040d3a5ff108e29381e7a0830221d5378b13b87ef0703c327686d30af004902d4ddb59d5787fecea4731eaa8042443d5",
     "9601aec6bc6e8a09d054a01e500a4e4cdcc7c2cf83122656be7c26fc7dc1a773a40be7e8a049a6cdf059e93a23ca441ef1ca96",
     "b620a8a0c8fe6117f22735c0ca29434c"},
    {"CAVP 408/384", "463b412911767d57a0b33969e674ffe7845d313b88c6fe312f3d724be68e1fca", "611ce6f9a6880750de7da6cb",
     "0a682fbc6192e1b47a5e0868787ffdafe5a50cead3575849990cdd2ea9b3597749403efb4a56684f0c6bde352d4aeec5",
     "e7d1dcf668e2876861940e012fe52a98dacbd78ab63c08842cc9801ea581682ad54af0c34d0d7f6f59e8ee0bf4900e0fd85042",
     "8886e196010cb3849d9c1a182abe1eeab0a5f3ca423c3669a4a8703c0f146e8e956fb122e0d721b869d2b6fcd4216d7d4d3758",
     "2469cecd70fd98fec9264f71df1aee9a"},
    {"Wycheproof 128", "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f", "000000000000000000000000", "",
     "561008fa07a68f5c61285cd013464eaf", "23293e9b07ca7d1b0cae7cc489a973b3", "ffffffffffffffffffffffffffffffff"},
    {"Wycheproof 129", "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f", "ffffffffffffffffffffffff", "",
     "c6152244cea1978d3e0bc274cf8c0b3b", "7cb6fc7c6abc009efe9551a99f36a421", "00000000000000000000000000000000"},
};

/// A sealed message, to be damaged.
struct Sealed {
  Bytes key = counting(kGcmKeySize);
  GcmNonce nonce = nonce_of("a0a1a2a3a4a5a6a7a8a9aaab");
  Bytes associated = counting(20, 100);
  Bytes data = counting(45, 7);
  GcmTag tag = GcmKey(key).seal(nonce, associated, data, data);

  /// True if it opens; if not, nothing of it may be seen.
  bool opens() const {
    Bytes out(data.size(), std::byte{0xee});
    const bool opened = GcmKey(key).open(nonce, associated, data, out, tag);
    CHECK((opened ? out == counting(45, 7) : is_zero(out)));
    return opened;
  }
};

/// With each bit of `part` flipped once, `sealed` does not open.
void check_each_bit(Sealed& sealed, MutableBytes part) {
  REQUIRE(sealed.opens());
  for (size_t bit = 0; bit < part.size() * 8; ++bit) {
    const std::byte flip = static_cast<std::byte>(1U << (bit % 8));
    part[bit / 8] ^= flip;
    CAPTURE(bit);
    CHECK_FALSE(sealed.opens());
    part[bit / 8] ^= flip;
  }
  CHECK(sealed.opens());
}

/// `whole` in pieces of the lengths, which add up to its length, each from `from` to `to`.
std::vector<GcmPiece> pieces_of(const Bytes& from, Bytes& to, const std::vector<size_t>& lengths) {
  std::vector<GcmPiece> pieces;
  size_t offset = 0;
  for (const size_t length : lengths) {
    pieces.push_back({ConstBytes(from).subspan(offset, length), MutableBytes(to).subspan(offset, length)});
    offset += length;
  }
  REQUIRE(offset == from.size());
  return pieces;
}

}  // namespace

TEST_CASE("AES-256-GCM has the published values") {
  for (const GcmVector& v : kGcmVectors) {
    CAPTURE(v.name);
    const GcmKey key(parse_hex(v.key));
    const GcmNonce nonce = nonce_of(v.nonce);
    const Bytes associated = parse_hex(v.associated);
    const Bytes plain = parse_hex(v.plain);
    Bytes out(plain.size());
    CHECK(hex(key.seal(nonce, associated, plain, out)) == v.tag);
    CHECK(to_hex(out) == v.sealed);
    Bytes back(plain.size(), std::byte{0xee});
    CHECK(key.open(nonce, associated, out, back, tag_of(v.tag)));
    CHECK(back == plain);
  }
}

TEST_CASE("AES-256-GCM counts on behind 2^16 blocks") {
  Bytes data((1U << 20) + 17);
  for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<std::byte>(i ^ (i >> 8) ^ (i >> 16));
  const GcmKey key(counting(kGcmKeySize));
  const GcmTag tag = key.seal(nonce_of("000102030405060708090a0b"), {}, data, data);
  CHECK(hex(tag) == "4993b82f27e8122276200b4b6f2d7602");  // as a plain implementation has it, without OpenSSL; it covers what is sealed
}

TEST_CASE("AES-256-GCM takes a message in pieces, and in place") {
  SeededRandom random(11);
  Bytes plain(5000);
  random.fill(plain);
  const Bytes associated = counting(33);
  const GcmNonce nonce = nonce_of("000000000000000000000001");
  const GcmKey key(counting(kGcmKeySize));
  Bytes joined(plain.size());
  const GcmTag tag = key.seal(nonce, associated, plain, joined);
  for (const std::vector<size_t>& lengths :
       {std::vector<size_t>{5000}, {0, 5000, 0}, {1, 4999}, {15, 1, 17, 0, 4096, 871}, {4096, 904}, {16, 16, 4968}}) {
    CAPTURE(lengths.size());
    Bytes out(plain.size());
    CHECK(key.seal(nonce, associated, pieces_of(plain, out, lengths)) == tag);
    CHECK(out == joined);
    Bytes place = plain;
    CHECK(key.seal(nonce, associated, pieces_of(place, place, lengths)) == tag);
    CHECK(place == joined);
    REQUIRE(key.open(nonce, associated, pieces_of(place, place, lengths), tag));
    CHECK(place == plain);
    Bytes back(plain.size());
    REQUIRE(key.open(nonce, associated, pieces_of(joined, back, lengths), tag));
    CHECK(back == plain);
    CHECK_FALSE(key.open({}, associated, pieces_of(joined, back, lengths), tag));
    CHECK(is_zero(back));
  }
}

TEST_CASE("AES-256-GCM: of nothing there is a tag, of associated data alone another") {
  const GcmKey key(counting(kGcmKeySize));
  const Bytes associated = counting(5);
  const GcmTag empty = key.seal({}, {}, std::span<const GcmPiece>());
  CHECK(key.seal({}, {}, ConstBytes(), MutableBytes()) == empty);
  CHECK(key.open({}, {}, std::span<const GcmPiece>(), empty));
  const GcmTag tag = key.seal({}, associated, std::span<const GcmPiece>());
  CHECK(tag != empty);
  CHECK(key.open({}, associated, ConstBytes(), MutableBytes(), tag));
  CHECK_FALSE(key.open({}, {}, ConstBytes(), MutableBytes(), tag));
  CHECK_FALSE(key.open({}, associated, ConstBytes(), MutableBytes(), empty));
}

TEST_CASE("AES-256-GCM: with any one bit of tag, data, associated data, nonce or key flipped, nothing opens") {
  Sealed sealed;
  SUBCASE("tag") { check_each_bit(sealed, std::as_writable_bytes(std::span(sealed.tag))); }
  SUBCASE("data") { check_each_bit(sealed, sealed.data); }
  SUBCASE("associated data") { check_each_bit(sealed, sealed.associated); }
  SUBCASE("nonce") { check_each_bit(sealed, std::as_writable_bytes(std::span(sealed.nonce))); }
  SUBCASE("key") { check_each_bit(sealed, sealed.key); }
}

TEST_CASE("AES-256-GCM: a message cut or grown by a byte does not open, and in place nothing of it is left") {
  Sealed sealed;
  const std::byte last = sealed.data.back();
  sealed.data.pop_back();
  CHECK_FALSE(sealed.opens());
  sealed.data.push_back(last);
  sealed.data.push_back({});
  CHECK_FALSE(sealed.opens());
  CHECK_FALSE(GcmKey(sealed.key).open(sealed.nonce, sealed.associated, sealed.data, sealed.data, sealed.tag));
  CHECK(is_zero(sealed.data));
}

TEST_CASE("what AES-256-GCM can't do is an error, and the key works the next time") {
  for (const size_t size : {0U, 16U, 31U, 33U}) CHECK_ERRC(GcmKey(counting(size)), Errc::io);
  const Bytes few = counting(16);
  const ConstBytes many(few.data(), size_t{1} << 31);  // more than an int says; is not looked at
  const GcmKey key(counting(kGcmKeySize));
  const GcmTag tag = key.seal({}, {}, std::span<const GcmPiece>());
  CHECK_ERRC(key.seal({}, many, std::span<const GcmPiece>()), Errc::io);
  CHECK_ERRC(key.open({}, many, std::span<const GcmPiece>(), tag), Errc::io);
  CHECK(key.seal({}, {}, std::span<const GcmPiece>()) == tag);
  CHECK(key.open({}, {}, std::span<const GcmPiece>(), tag));
}

TEST_CASE("threads: eight seal and open with one key as one does") {
  constexpr size_t kThreads = 8;
  constexpr size_t kMessages = 100;
  const GcmKey key(counting(kGcmKeySize));
  const auto seal = [&key](size_t number) {
    Bytes data = counting(3 * number + 1);
    GcmNonce nonce{};
    nonce[0] = static_cast<uint8_t>(number);
    const GcmTag tag = key.seal(nonce, counting(number), data, data);
    const std::string sealed = to_hex(data) + hex(tag);
    if (!key.open(nonce, counting(number), data, data, tag) || data != counting(3 * number + 1)) return std::string("does not open");
    return sealed;
  };
  std::vector<std::vector<std::string>> all(kThreads);
  std::vector<std::thread> threads;
  for (std::vector<std::string>& mine : all) {
    threads.emplace_back([&mine, &seal] {
      for (size_t i = 0; i < kMessages; ++i) mine.push_back(seal(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  std::vector<std::string> alone;
  for (size_t i = 0; i < kMessages; ++i) alone.push_back(seal(i));
  for (const std::vector<std::string>& mine : all) CHECK(mine == alone);
  CHECK(std::find(alone.begin(), alone.end(), "does not open") == alone.end());
}

TEST_CASE("what fails leaves nothing behind in the thread's queue of OpenSSL errors") {
  ERR_clear_error();
  Sealed sealed;
  sealed.tag[3] ^= 1;
  CHECK_FALSE(sealed.opens());
  CHECK(ERR_peek_error() == 0);
  CHECK_ERRC(hkdf_sha256(bytes("key"), {}, {}, 8161), Errc::io);
  CHECK_ERRC(scrypt(bytes("p"), bytes("s"), 4, 0, 1, 32), Errc::io);
  CHECK_ERRC(pbkdf2_sha256(bytes("p"), bytes("s"), 0, 32), Errc::io);
  CHECK(ERR_peek_error() == 0);
  ERR_raise(ERR_LIB_USER, ERR_R_INTERNAL_ERROR);  // the program's own
  const unsigned long before = ERR_peek_last_error();
  CHECK_ERRC(pbkdf2_sha256(bytes("p"), bytes("s"), 0, 32), Errc::io);
  CHECK(ERR_peek_last_error() == before);
  ERR_clear_error();
}
