// What is done to whole disks.
#ifndef VARVE_OPS_H
#define VARVE_OPS_H

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "varve/image.h"
#include "varve/progress.h"

#pragma GCC visibility push(default)
namespace varve {

// All operations throw what reading and writing their images throws, and Errc::cancelled soon after their token is set. Nothing else may
// use a target meanwhile; sources may be read.

/// Common to the operations that move data.
struct CopyOptions {
  unsigned threads = 0;         ///< 0: as many as this process may use processors; at most 64 are used. Each holds some MiB of data
  bool target_is_zero = false;  ///< the user's word that an existing target reads as zeros: zero runs are skipped
  ProgressFn progress = {};
  const CancelToken* cancel = nullptr;
};

struct CopyReport {
  uint64_t virtual_size = 0;  ///< of the source, bytes
  uint64_t data_bytes = 0;    ///< of the disk, that were neither zero nor absent in the target
};

/// Copies the whole disk of `source` into `target`, which is at least as large (else Errc::invalid_argument); the rest of a larger
/// target is zeroed. The caller closes the target or, after an error, aborts it: any part of it may have been written. The same input
/// gives the same output, whatever the number of threads.
CopyReport copy_image(Image& source, Image& target, const CopyOptions& options = {});

struct ConvertOptions {
  std::string source_format = {};  ///< empty: probe
  std::string target_format = {};  ///< empty: from the target's extension
  OpenOptions open = {};           ///< of the source; access and format are not looked at
  CreateOptions create = {};       ///< of the target; its mode becomes no wider than that of the source's files
  /// `varve snapshot export --since`: the target becomes a child over this snapshot of the source, and what differs is all that is looked
  /// at and stored. create.parent must lead to the source's file, and create.parent_snapshot is not looked at. Empty: the whole disk.
  std::string since = {};
  bool into_existing = false;  ///< `-n`: write into an existing image or block device, whose format must be given
  CopyOptions copy = {};       ///< the token also ends the wait for standard input
};

/// `varve convert`: source and target are paths; "-" is standard input or output, for formats that stream, and the format must be
/// given. Into an existing target only references, durable, limits, warn, file_system and random of `create` count.
/// On any failure no target is left (unless into_existing), and the source is never changed. Throws, besides what opening and creating
/// throw, invalid_argument if a format is not known, if source and target are the same file, or if `since` is given and create.parent is
/// another file than the source.
CopyReport convert(const std::string& source, const std::string& target, const ConvertOptions& options = {});

struct CompareResult {
  bool same = false;
  std::optional<uint64_t> first_difference;  ///< byte offset; the smaller size where only the sizes differ
  uint64_t size_a = 0;
  uint64_t size_b = 0;
};

struct CompareOptions {
  unsigned threads = 0;  ///< as CopyOptions::threads
  bool strict = false;   ///< different sizes are a difference even if the rest is zeros
  ProgressFn progress = {};
  const CancelToken* cancel = nullptr;
};

/// Equal contents? Of disks of different size the longer one's rest must be zeros, as in qemu-img. Ends at the first difference.
CompareResult compare(Image& a, Image& b, const CompareOptions& options = {});

struct ExtractOptions {
  bool force = false;                 ///< replace an existing file
  bool durable = true;                ///< false: do not wait until the file is on the medium
  uint64_t most = UINT64_MAX;         ///< bytes; more is Errc::limit
  FileSystem* file_system = nullptr;  ///< the host's if null
  ProgressFn progress = {};
  const CancelToken* cancel = nullptr;
};

/// An attachment as a file of its own, which appears under its name when it is complete and has no wider mode than the image. Returns its
/// size, bytes.
uint64_t extract_attachment(Image& image, const AttachmentKey& key, const std::string& path, const ExtractOptions& options = {});
/// The same into `sink`, which is called with each piece in order, in the caller's thread; what it throws ends it. Of the options `most`,
/// progress and cancel count.
uint64_t extract_attachment(Image& image, const AttachmentKey& key, const std::function<void(ConstBytes piece)>& sink,
                            const ExtractOptions& options = {});

/// Calls `visit` for each run of the disk in order, merged to maximal runs, in the caller's thread. What `visit` throws ends it.
void map(Image& image, const std::function<void(const Extent&)>& visit, const CancelToken* cancel = nullptr);

struct RebaseOptions {
  std::string parent = {};         ///< stored as given; a relative one counts from the image's directory; empty: no parent any more
  std::string parent_format = {};  ///< empty: the image's own; never probed
  /// Of the parent, instead of its disk as it is; it is marked as held, as CreateOptions::parent_snapshot says.
  std::string parent_snapshot = {};
  bool unsafe = false;    ///< change the reference alone, on the user's word that the contents are right so
  OpenOptions open = {};  ///< of the image and of its parents, old and new; access is not looked at
  unsigned threads = 0;   ///< as CopyOptions::threads
  ProgressFn progress = {};
  const CancelToken* cancel = nullptr;
};

struct RebaseReport {
  uint64_t virtual_size = 0;
  uint64_t written_bytes = 0;  ///< of the disk, that the image had to take from its old parent
};

/// `varve rebase`: gives the image at `path` another parent. Its contents stay: where the parents differ and the image holds nothing, it
/// takes over what it reads there, which is durable before the reference changes. Whatever stops it, the image reads as before. Of an
/// image with snapshots they keep the old parent. Throws what opening, reading and writing throw; unsupported if the format can't have such
/// a parent; invalid_argument if the new parent lies over the image itself.
RebaseReport rebase(const std::string& path, const RebaseOptions& options);

struct CommitOptions {
  OpenOptions open = {};  ///< of the image and of its parents; access is not looked at
  unsigned threads = 0;   ///< as CopyOptions::threads
  ProgressFn progress = {};
  const CancelToken* cancel = nullptr;
};

struct CommitReport {
  std::string parent;         ///< path of the file that was written to
  uint64_t virtual_size = 0;  ///< of the image
  uint64_t data_bytes = 0;    ///< of the disk, that were written into the parent as data
  uint64_t zero_bytes = 0;    ///< and as zeros
};

/// `varve commit`: writes what the image at `path` holds into its parent, which grows if it is smaller. The image is not emptied, reads as
/// before and stays valid; other children of the parent do not. If it is stopped half way the image reads as before, too, and the
/// commit can be run again. Throws what opening, reading and writing throw; invalid_argument if the image has no parent, or has snapshots,
/// which would read something else afterwards.
CommitReport commit(const std::string& path, const CommitOptions& options = {});

struct MeasureReport {
  uint64_t virtual_size = 0;     ///< bytes
  uint64_t required = 0;         ///< bytes that the new image takes on the host, all its files together
  uint64_t fully_allocated = 0;  ///< the same if every part of the disk held data
};

/// What a conversion of `source` into a new image of `format` would need. Nothing is read but what says where the data are: data that turn
/// out to be zeros, or to compress, take less. Throws what creating such an image throws for options and sizes.
MeasureReport measure(Image& source, std::string_view format, const OptionMap& options = {}, const CancelToken* cancel = nullptr);
/// Of a new disk of `size` bytes that holds nothing.
MeasureReport measure(uint64_t size, std::string_view format, const OptionMap& options = {});

}  // namespace varve
#pragma GCC visibility pop

#endif
