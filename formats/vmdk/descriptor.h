// The text that describes a VMDK: `key=value` lines, extent lines, comments. T, "The Descriptor File".
//
// The text is kept line by line as it was read. Changing a value replaces that value's bytes and nothing else, so that what
// other programs have put there survives.
#ifndef VARVE_FORMATS_VMDK_DESCRIPTOR_H
#define VARVE_FORMATS_VMDK_DESCRIPTOR_H

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "varve/limits.h"
#include "varve/storage.h"

namespace varve::vmdk {

using WarnLine = std::function<void(const std::string&)>;

inline constexpr uint32_t kNoParentCid = 0xffffffff;

enum class ExtentAccess : uint8_t { read_write, read_only, no_access };

enum class ExtentType : uint8_t { flat, sparse, zero, vmfs, vmfs_sparse, vmfs_rdm, vmfs_rdmp, vmfs_raw, se_sparse };

/// "RW", "RDONLY", "NOACCESS"; "FLAT", "SPARSE", ...: as the text says it.
std::string_view extent_access_name(ExtentAccess access) noexcept;
std::string_view extent_type_name(ExtentType type) noexcept;

/// One extent line.
struct ExtentLine {
  ExtentAccess access = ExtentAccess::read_write;
  uint64_t sectors = 0;
  ExtentType type = ExtentType::flat;
  std::string name;             ///< the bytes between the quotes; empty of ZERO
  uint64_t offset_sectors = 0;  ///< in the file; of FLAT and its kin
  std::string rest = {};        ///< what follows, such as a partition's UUID; kept as it is
};

/// Parses one line. Throws corrupt for what makes no sense, unsupported for a type that nobody has defined.
ExtentLine parse_extent_line(std::string_view line);

/// Does a line begin as an extent's?
bool is_extent_line(std::string_view line);

/// The line as VMware writes it, without a line end. Throws invalid_argument for a name that no line can hold.
std::string extent_line_text(const ExtentLine& line);

/// A value type; not thread-safe.
class Descriptor {
 public:
  /// Is this the beginning of a descriptor? Blank lines may come before the `# Disk DescriptorFile`.
  static bool recognise(ConstBytes head);

  /// Parses up to the first NUL. Throws corrupt for an extent line that makes no sense, limit beyond `limits`.
  static Descriptor parse(ConstBytes text, const Limits& limits, const WarnLine& warn = {});

  /// Keys match as a whole, without regard to case; comments have none. The first one counts. Blanks and quotes are cut from the value.
  std::optional<std::string> get(std::string_view key) const;
  bool has(std::string_view key) const { return get(key).has_value(); }
  /// Every `key=value` in order, keys as written.
  std::vector<std::pair<std::string, std::string>> entries() const;
  /// Keys that occur more than once, in lower case.
  std::vector<std::string> duplicate_keys() const;
  const std::vector<ExtentLine>& extents() const { return extents_; }

  /// Replaces the value where the key stands, with the quotes that are there, and drops further lines of the same key; a new key goes
  /// behind the last line of its section (`ddb.` keys at the end, others before the extents), ddb values in quotes.
  void set(std::string_view key, std::string_view value);
  void remove(std::string_view key);
  enum class Keep : uint8_t { none, first, last };
  /// Blank lines take the place of all lines of the key but one; nothing moves.
  void blank(std::string_view key, Keep keep);
  /// Exchanges extent `index`; the rest of the text stays.
  void set_extent(size_t index, const ExtentLine& line);
  /// After changes of `before`: where a line became longer or shorter, blank lines in its sector give or take the difference, if they
  /// can, so that all behind it lies where it lay. The text is taken to begin with a sector.
  void keep_places(const Descriptor& before);
  /// Do the lines that count of two keys lie in one sector, both whole?
  bool in_one_sector(std::string_view key, std::string_view other) const;
  /// Makes a line of a blank one behind that of `key` in its sector. False if there is none. keep_places() makes room.
  bool put_in_sector_of(std::string_view key, std::string_view line);
  /// The last line of the disk database that lies in the sector of `key`, without its line end, and its key; nullopt if there is none.
  std::optional<std::pair<std::string, std::string>> database_line_in_sector_of(std::string_view key) const;

  /// Adds a line at the end as it is; `line` has no line end. The way to compose a new descriptor.
  void append(std::string_view line);

  /// nullopt if it is missing or no number of up to 8 hex digits.
  std::optional<uint32_t> cid() const { return hex_value("CID"); }
  std::optional<uint32_t> parent_cid() const { return hex_value("parentCID"); }
  /// Exactly 8 hex digits. Throws invalid_argument for ffffffff and fffffffe, which mean "none" to readers.
  void set_cid(uint32_t cid);
  void set_parent_cid(uint32_t cid);  ///< kNoParentCid: none

  std::string create_type() const { return get("createType").value_or(""); }

  /// `stored`, a name or value of this text, in UTF-8 as `encoding` says; the bytes themselves where that is not known.
  std::string to_utf8(std::string_view stored) const;

  /// The whole text.
  std::string text() const;

 private:
  enum class Kind : uint8_t { other, entry, extent };
  struct Line {
    std::string raw;  ///< with its line end
    Kind kind = Kind::other;
    std::string key;         ///< of an entry, lower case
    size_t value_begin = 0;  ///< in raw, without blanks and quotes
    size_t value_length = 0;
  };

  static Line classify(std::string raw);
  static void balance(std::vector<Line>& lines, size_t changed, size_t old_length);
  void add_line(Line line);
  std::optional<uint32_t> hex_value(std::string_view key) const;
  size_t place_for(std::string_view key) const;
  /// The first and the last sector of the line that counts.
  std::optional<std::pair<size_t, size_t>> sectors_of(std::string_view key) const;
  /// Calls `use` with the index of each line that lies in the sector of `key` as a whole, as that line does.
  void for_each_beside(std::string_view key, const std::function<void(size_t)>& use) const;
  std::string_view line_end() const;
  void insert_line(size_t index, std::string text);

  std::vector<Line> lines_;
  std::vector<ExtentLine> extents_;
};

/// "1a2b3c4d".
std::string cid_text(uint32_t cid);

}  // namespace varve::vmdk

#endif
