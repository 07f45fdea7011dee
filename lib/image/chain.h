// Opening an image and the chain of its parents; creating one.
#ifndef VARVE_IMAGE_CHAIN_H
#define VARVE_IMAGE_CHAIN_H

#include <memory>
#include <optional>
#include <string>

#include "image/node.h"

namespace varve {

/// The image at `path` over its parents. Chains that are deeper than the limit or that return to a file are refused before the next
/// layer is parsed (RES-4).
std::shared_ptr<Node> open_node(const std::string& path, const OpenOptions& options);

/// recognized_format() of varve/image.h.
const FormatDriver& recognized_driver(const std::string& path, const OpenOptions& options);

/// The same as open_node() for an image that no file system knows: it may not refer to other files.
std::shared_ptr<Node> open_node(std::shared_ptr<Storage> storage, const OpenOptions& options);

/// The same for writing, and its parent is open for writing, too, with a lock of its own.
std::shared_ptr<Node> open_over_writable_parent(const std::string& path, const OpenOptions& options);

/// What an image at `child` of this driver is to lie over, as the user names it: whatever the policy says of `name`, which counts from the
/// child's directory. `format`: if empty the child's own; it is never probed. Of `options` access, format and parent don't apply.
std::shared_ptr<Node> open_new_parent(const std::string& child, const FormatDriver& driver, const std::string& name,
                                      const std::string& format, const OpenOptions& options);
/// A line for the user if References::inside will refuse the name; else empty.
std::string parent_name_warning(const std::string& name);

/// A new image. With `pipe` it is written there, from front to back, and `path` only serves as its name.
std::shared_ptr<Node> create_node(const std::string& path, const FormatDriver& driver, std::optional<uint64_t> size,
                                  const CreateOptions& options, std::shared_ptr<Storage> pipe = nullptr);

/// Of what is to lie over a snapshot, options.snapshot, of a parent that is named as for open_new_parent(): marks that as held, so that no
/// child refers to it before it is safe. To be called before anything else opens the parent. Where the parent can't be written to, a
/// warning says so.
void hold_parent(const std::string& child, const FormatDriver& driver, const std::string& name, const std::string& format,
                 const OpenOptions& options);
/// The same for an image that is to be created, if its parent is a snapshot.
void hold_parent_of_new(const std::string& path, const FormatDriver& driver, const CreateOptions& options);

}  // namespace varve

#endif
