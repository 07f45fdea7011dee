// Names of files that stand in an image: who may be opened, decided before anything is looked at.
//
// Such a name is the word of whoever made the image, perhaps a guest. It is an opaque file name and never a URI, a driver
// or a pseudo protocol [REF-3]. The policy is decided on the text alone, then the file system keeps the lookup inside [REF-5].
#ifndef VARVE_IO_REFERENCES_H
#define VARVE_IO_REFERENCES_H

#include <memory>
#include <string>
#include <string_view>

#include "io/file_system.h"

namespace varve {

/// Throws Errc::permission if `policy` forbids the name, without a look at any file [REF-1, REF-2]. `none` forbids all; `inside`
/// wants a relative name without `..`, backslash, drive letter, control character or "scheme:"; `any` wants only that it could be a file
/// name.
void check_reference_name(std::string_view name, References policy);

/// Opens what the image at `image_path` names. Relative names start at the image's directory. `device`: the image says that
/// it is a block device, which only `any` allows. Besides permission: what FileSystem::open() throws.
std::shared_ptr<Storage> open_reference(FileSystem& files, const std::string& image_path, const std::string& name, References policy,
                                        bool device, const FileOpen& how);

}  // namespace varve

#endif
