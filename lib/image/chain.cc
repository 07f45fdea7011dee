#include "image/chain.h"

#include <algorithm>
#include <utility>

#include "image/probe.h"
#include "image/registry.h"
#include "image/snapshots.h"
#include "io/references.h"

namespace varve {

namespace {

constexpr uint32_t kMaxChainDepth = 256;

/// What is known of a layer before its driver looks at it.
struct Layer {
  std::shared_ptr<Storage> storage;
  std::string format;  // empty: probe
  Host host;
};

const FormatDriver& driver_of(const Layer& layer) {
  if (!layer.format.empty()) return driver_named(layer.format);
  const Detection found = detect_format(*layer.storage);
  if (layer.host.how.access == Access::read_write && !found.trusted) {
    throw Error(Errc::invalid_argument, "the format must be named before the image is written to: it looks like " +
                                            std::string(found.driver->info().name) + ", but a guest could have made it look so")
        .hint("add -f " + std::string(found.driver->info().name));
  }
  return *found.driver;
}

void require_snapshots(const FormatDriver& driver, const Host& host) {
  if (!driver.info().can.snapshots)
    throw Error(Errc::unsupported, "format " + std::string(driver.info().name) + " has no snapshots").hint("leave the snapshot out");
  if (host.how.access == Access::read_write)
    throw Error(Errc::invalid_argument, "a snapshot can't be written to").hint("revert to it first");
}

void require_as_wanted(const FormatDriver& driver, const FormatImage& image, const OpenOptions& options, const Unlock& unlock) {
  const std::string name(driver.info().name);
  if (options.require_encryption && !image.info().encrypted)
    throw Error(Errc::authentication, "the image is not encrypted").hint("it is not what was asked for with --require-encryption");
  if (unlock.min_generation != 0 && !driver.info().can.generations)
    throw Error(Errc::unsupported, "format " + name + " does not count its states").hint("leave out --min-generation");
}

std::shared_ptr<Node> open_layer(const Layer& layer, const OpenOptions& options) {
  const std::string& path = layer.storage->name();
  try {
    const FormatDriver& driver = driver_of(layer);
    if (layer.host.snapshot.is_any()) require_snapshots(driver, layer.host);
    auto warnings = std::make_shared<Warnings>(options.warn);
    ImageOpenContext context(layer.host, layer.storage, options.limits, *warnings);
    std::unique_ptr<FormatImage> image = driver.open(context);
    require_as_wanted(driver, *image, options, layer.host.unlock);
    if (image->size() > options.limits.virtual_size) {
      throw Error(Errc::limit, "the disk has " + std::to_string(image->size()) + " bytes, more than allowed")
          .hint("raise --max-virtual-size");
    }
    Node::Identity identity{&driver, path, layer.host.how.access == Access::read_write, options.limits, warnings, context.flush_failed()};
    return std::make_shared<Node>(std::move(identity), std::move(image));
  } catch (Error& error) {
    error.add_path(path);
    throw;
  }
}

/// The parent's file, by the user's word or by the names that the child holds.
std::shared_ptr<Storage> open_parent_file(const std::string& child, const ParentLink& link, const std::string& named_by_user,
                                          const Host& host) {
  if (!named_by_user.empty()) return host.file_system->open(named_by_user, host.how);
  std::optional<Error> first;
  for (const std::string& name : link.names) {
    try {
      return open_reference(*host.file_system, child, name, host.references, false, host.how);
    } catch (const Error& error) {
      if (error.code() != Errc::not_found && error.code() != Errc::permission) throw;
      if (!first) first = error;
    }
  }
  if (!first) throw Error(Errc::corrupt, "the image has a parent but does not name it").in(child).hint("name it with --parent FILE");
  throw Error(first->code(), "the parent can't be opened: " + first->message())
      .in(child)
      .hint("name it with --parent FILE, or read this layer alone with --ignore-parent");
}

void require_identity(const Node& child, const ParentLink& link, Node& parent) {
  if (link.identities.empty()) return;
  const FormatImage& image = parent.image();
  if (std::any_of(link.identities.begin(), link.identities.end(), [&](const std::string& expected) { return image.is_known_as(expected); }))
    return;
  const std::string found = image.identity();
  throw Error(Errc::corrupt, "the parent " + parent.path() + " is not the one that this image was made over: it has " +
                                 (found.empty() ? "no identity" : found) + ", expected is " + link.identities.front())
      .in(child.path())
      .hint("name the right parent with --parent FILE, or read this layer alone with --ignore-parent");
}

/// Opens the layers below `top`, one after the other; the first of them for `access`, the rest for reading.
void open_parents(const std::shared_ptr<Node>& top, const std::shared_ptr<Storage>& file, const OpenOptions& options, Host host,
                  Access access) {
  std::vector<StorageId> seen;
  if (const auto id = file->id()) seen.push_back(*id);
  host.how.access = access;
  host.for_check = false;
  host.unlock.slot.reset();
  host.unlock.min_generation = 0;
  const uint32_t max_depth = std::min(options.limits.chain_depth, kMaxChainDepth);
  std::string named_by_user = options.parent;
  std::shared_ptr<Node> child = top;
  for (uint32_t depth = 1;; ++depth) {
    const std::optional<ParentLink> link = child->image().parent();
    if (!link) break;
    if (depth >= max_depth) {
      throw Error(Errc::limit, "the chain of parents has more than " + std::to_string(max_depth) + " layers").in(top->path());
    }
    if (host.how.access == Access::read_write && !link->snapshot.empty())
      throw Error(Errc::invalid_argument, "the image lies over a snapshot, which can't be written to")
          .in(child->path())
          .hint("lay it over what the parent holds now, `varve rebase -b PARENT`, and try again");
    host.snapshot = {{}, link->snapshot};
    Layer layer{open_parent_file(child->path(), *link, named_by_user, host), link->format, host};
    named_by_user.clear();
    host.how.access = Access::read_only;
    if (const auto id = layer.storage->id()) {
      if (std::find(seen.begin(), seen.end(), *id) != seen.end()) {
        throw Error(Errc::corrupt, "the chain of parents returns to " + layer.storage->name()).in(child->path());
      }
      seen.push_back(*id);
    }
    std::shared_ptr<Node> parent = open_layer(layer, options);
    require_identity(*child, *link, *parent);
    child->set_parent(parent);
    child = std::move(parent);
  }
  if (!named_by_user.empty()) throw Error(Errc::invalid_argument, "the image has no parent").in(top->path()).hint("leave out --parent");
}

std::shared_ptr<Node> open_chain(const Layer& layer, const OpenOptions& options, Access parent_access = Access::read_only) {
  std::shared_ptr<Node> top = open_layer(layer, options);
  if (options.ignore_parent)
    top->ignore_parent();
  else
    open_parents(top, layer.storage, options, layer.host, parent_access);
  return top;
}

std::string format_of_parent(const FormatDriver& child, const std::string& named) {
  return named.empty() ? std::string(child.info().name) : named;
}

std::string beside(const std::string& path, const std::string& name) {
  const size_t slash = path.rfind('/');
  return name.starts_with('/') || slash == std::string::npos ? name : path.substr(0, slash + 1) + name;
}

Host host_of(const OpenOptions& options, References references) {
  Host host{&file_system_of(options.file_system), references, {}, &random_of(options.random), {options.snapshot, {}}, options.for_check};
  host.how.access = options.access;
  host.unlock = {options.secret, options.key_slot, options.min_generation, options.accept_older_state, options.for_info};
  return host;
}

std::shared_ptr<Node> open_file(const std::string& path, const OpenOptions& options, Access parent_access) {
  Host host = host_of(options, options.references);
  host.how.lock = !options.ignore_locks;
  host.how.durable = options.durable;
  host.how.cache = options.cache;
  if (options.ignore_locks && options.access == Access::read_write) {
    throw Error(Errc::invalid_argument, "a locked image can be read, but not written").in(path).hint("leave out -U");
  }
  return open_chain({host.file_system->open(path, host.how), options.format, host}, options, parent_access);
}

/// How the parent of an image to be is opened.
OpenOptions parent_options(const CreateOptions& options) {
  OpenOptions how;
  how.snapshot = options.parent_snapshot;
  how.secret = options.parent_secret;
  how.durable = options.durable;
  how.cache = options.cache;
  how.references = options.references;
  how.limits = options.limits;
  how.file_system = options.file_system;
  how.random = options.random;
  how.warn = options.warn;
  return how;
}

std::shared_ptr<Node> open_parent_of_new(const std::string& path, const FormatDriver& driver, const CreateOptions& options,
                                         Warnings& warnings) {
  const std::string warning = parent_name_warning(options.parent);
  if (!warning.empty()) warnings.add(warning);
  return open_new_parent(path, driver, options.parent, options.parent_format, parent_options(options));
}

}  // namespace

std::shared_ptr<Node> open_node(const std::string& path, const OpenOptions& options) { return open_file(path, options, Access::read_only); }

const FormatDriver& recognized_driver(const std::string& path, const OpenOptions& options) {
  Host host = host_of(options, References::none);
  FileOpen how;
  how.lock = false;
  try {
    return driver_of({host.file_system->open(path, how), {}, host});
  } catch (Error& error) {
    error.add_path(path);
    throw;
  }
}

std::shared_ptr<Node> open_over_writable_parent(const std::string& path, const OpenOptions& options) {
  return open_file(path, options, Access::read_write);
}

std::string parent_name_warning(const std::string& name) {
  try {
    check_reference_name(name, References::inside);
    return {};
  } catch (const Error&) {
    return "the parent " + name + " lies outside the image's directory: opening the image will need --references=any or --parent";
  }
}

std::shared_ptr<Node> open_new_parent(const std::string& child, const FormatDriver& driver, const std::string& name,
                                      const std::string& format, const OpenOptions& options) {
  OpenOptions how = options;
  how.access = Access::read_only;
  how.format = format_of_parent(driver, format);
  how.parent.clear();
  how.ignore_parent = false;
  how.key_slot.reset();
  how.min_generation = 0;
  try {
    return open_node(beside(child, name), how);
  } catch (Error& error) {
    if (error.code() == Errc::corrupt && format.empty() && error.hint().empty())
      std::move(error).hint("a parent is taken to have the image's own format, " + how.format + ", unless -F names another one");
    throw;
  }
}

std::shared_ptr<Node> open_node(std::shared_ptr<Storage> storage, const OpenOptions& options) {
  return open_chain({std::move(storage), options.format, host_of(options, References::none)}, options);
}

void hold_parent(const std::string& child, const FormatDriver& driver, const std::string& name, const std::string& format,
                 const OpenOptions& options) {
  if (name.empty()) throw Error(Errc::invalid_argument, "a snapshot of a parent is named, but no parent").in(child);
  if (!driver.info().can.snapshots) {
    throw Error(Errc::unsupported, "an image of format " + std::string(driver.info().name) + " can't lie over a snapshot")
        .in(child)
        .hint("use a format that has snapshots, or leave the snapshot out");
  }
  OpenOptions how = options;
  how.access = Access::read_only;
  how.format = format_of_parent(driver, format);
  how.parent.clear();
  how.ignore_parent = true;
  const std::string path = beside(child, name);
  if (open_node(path, how)->snapshot_is_held(options.snapshot)) return;
  how.ignore_parent = false;
  how.snapshot.clear();
  how.access = Access::read_write;
  how.warn = {};  // it has told
  try {
    const std::shared_ptr<Node> node = open_node(path, how);
    node->change_snapshots("hold a snapshot", [&](Snapshots& all) { all.hold(options.snapshot); });
    node->close();
  } catch (const Error& error) {
    if (options.warn)
      options.warn("the snapshot '" + options.snapshot + "' of " + name + " can't be marked as held (" + error.message() +
                   "): nothing there keeps it from being deleted");
  }
}

void hold_parent_of_new(const std::string& path, const FormatDriver& driver, const CreateOptions& options) {
  if (options.parent_snapshot.empty()) return;
  hold_parent(path, driver, options.parent, options.parent_format, parent_options(options));
}

std::shared_ptr<Node> create_node(const std::string& path, const FormatDriver& driver, std::optional<uint64_t> size,
                                  const CreateOptions& options, std::shared_ptr<Storage> pipe) {
  const FormatInfo& format = driver.info();
  try {
    if (!format.can.create) throw Error(Errc::unsupported, "images of format " + std::string(format.name) + " can't be created");
    auto warnings = std::make_shared<Warnings>(options.warn);
    std::shared_ptr<Node> parent;
    if (!options.parent.empty()) {
      if (!format.can.parent) throw Error(Errc::unsupported, "format " + std::string(format.name) + " has no parents");
      parent = open_parent_of_new(path, driver, options, *warnings);
      if (!size) size = parent->size();
    }
    if (!size) throw Error(Errc::invalid_argument, "the size of the new disk is missing").hint("give it after the file, such as 20G");
    if (*size > options.limits.virtual_size)
      throw Error(Errc::limit, "a disk of " + std::to_string(*size) + " bytes is larger than allowed");

    auto context = std::make_unique<ImageCreateContext>(path, *size, OptionValues(format, options.options), options,
                                                        file_system_of(options.file_system), warnings);
    if (pipe != nullptr) context->use_stream(std::move(pipe));
    if (parent != nullptr) {
      context->set_parent(
          {options.parent, std::string(parent->driver().info().name), parent->image().identity(), parent->size(), &parent->image()});
    }
    std::unique_ptr<FormatImage> image = driver.create(*context);
    Node::Identity identity{&driver, path, true, options.limits, warnings, context->flush_failed()};
    auto node = std::make_shared<Node>(std::move(identity), std::move(image), std::move(context));
    if (parent != nullptr) node->set_parent(std::move(parent));
    return node;
  } catch (Error& error) {
    error.add_path(path);
    throw;
  }
}

}  // namespace varve
