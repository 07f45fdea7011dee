#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iomanip>

#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "secrets.h"
#include "snapshot_tree.h"
#include "text_output.h"
#include "varve/ops.h"

namespace varve::cli {
namespace {

constexpr std::string_view kStream = "-";

OpenOptions image_options(const Arguments& arguments, Session& session, Access access) {
  OpenOptions options = open_options(arguments, session);
  options.access = access;
  options.snapshot.clear();  // -l says whose the attachment is
  if (access == Access::read_only) options.ignore_parent = options.parent.empty();
  return options;
}

AttachmentKey key_of(const Arguments& arguments) { return {arguments.operand(2), arguments.value("-l")}; }

/// The file, or standard input, that is attached.
class Source {
 public:
  Source(const std::string& path, const CancelToken& cancel) : path_(path), cancel_(cancel) {
    if (path == kStream && isatty(STDIN_FILENO) != 0) throw UsageError("standard input is a terminal", "read it from a file or a pipe");
    fd_ = path == kStream ? STDIN_FILENO : open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd_ < 0) fail(errno == ENOENT ? Errc::not_found : Errc::io);
  }
  ~Source() {
    if (fd_ >= 0 && path_ != kStream) close(fd_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  size_t read_into(MutableBytes out) {
    while (true) {
      cancel_.check();
      const ssize_t count = read(fd_, out.data(), out.size());
      if (count >= 0) return static_cast<size_t>(count);
      if (errno != EINTR) fail(Errc::io);
    }
  }

 private:
  [[noreturn]] void fail(Errc code) const { throw Error(code, std::strerror(errno)).in(path_ == kStream ? "<stdin>" : path_); }

  const std::string path_;
  const CancelToken& cancel_;
  int fd_ = -1;
};

int put(const Arguments& arguments, Session& session) {
  if (arguments.operand(3) == kStream) refuse_key_from_stdin(arguments);
  Source source(arguments.operand(3), session.cancel);
  Image image = Image::open(arguments.operand(1), image_options(arguments, session, Access::read_write));
  image.put_attachment(
      key_of(arguments), time_now(), [&](MutableBytes out) { return source.read_into(out); }, arguments.has("force"));
  image.close();
  if (arguments.has("json")) print_json(session.out, {{"file", arguments.operand(1)}, {"done", "put"}});
  return kDone;
}

int get(const Arguments& arguments, Session& session) {
  const std::string& target = arguments.operand(3);
  if (target == kStream && arguments.has("json")) throw UsageError("--json needs standard output, which is the target here");
  if (target == kStream && isatty(STDOUT_FILENO) != 0) throw UsageError("standard output is a terminal", "send it to a file or a pipe");
  Image image = Image::open(arguments.operand(1), image_options(arguments, session, Access::read_only));
  ExtractOptions options;
  options.force = arguments.has("force");
  options.durable = arguments.value("sync") != "none";
  if (arguments.has("max-output-bytes")) options.most = size_value(arguments.value("max-output-bytes"), "--max-output-bytes");
  options.cancel = &session.cancel;
  if (target == kStream) {
    const auto sink = [&](ConstBytes piece) {
      session.out.write(reinterpret_cast<const char*>(piece.data()), static_cast<std::streamsize>(piece.size()));  // NOLINT: bytes as text
      if (!session.out) throw OutputFailed();
    };
    extract_attachment(image, key_of(arguments), sink, options);
    return kDone;
  }
  const uint64_t size = extract_attachment(image, key_of(arguments), target, options);
  if (arguments.has("json")) print_json(session.out, {{"file", arguments.operand(1)}, {"target", target}, {"size", size}});
  return kDone;
}

int remove(const Arguments& arguments, Session& session) {
  Image image = Image::open(arguments.operand(1), image_options(arguments, session, Access::read_write));
  image.delete_attachment(key_of(arguments));
  image.close();
  if (arguments.has("json")) print_json(session.out, {{"file", arguments.operand(1)}, {"done", "delete"}});
  return kDone;
}

int list(const Arguments& arguments, Session& session) {
  Image image = Image::open(arguments.operand(1), image_options(arguments, session, Access::read_only));
  std::vector<AttachmentInfo> all = image.attachments();
  if (arguments.has("-l")) std::erase_if(all, [&](const AttachmentInfo& info) { return info.key.snapshot != arguments.value("-l"); });
  if (!arguments.has("json")) {
    for (const AttachmentInfo& info : all) {
      session.out << escape_text(info.key.name) << "  " << time_text(info.time) << "  " << exact_size(info.size);
      if (info.of_branch_point) session.out << "  (branch point)";
      if (!info.key.snapshot.empty()) session.out << "  " << escape_text(info.key.snapshot);
      session.out << '\n';
    }
    return kDone;
  }
  Json rows = Json::array();
  for (const AttachmentInfo& info : all) {
    rows.push_back({{"name", info.key.name},
                    {"snapshot", info.key.snapshot.empty() ? Json(nullptr) : Json(info.key.snapshot)},
                    {"branch_point", info.of_branch_point},
                    {"time", time_text(info.time)},
                    {"size", info.size}});
  }
  print_json(session.out, {{"attachments", rows}});
  return kDone;
}

struct Action {
  std::string_view name;
  std::string_view operands;
  size_t count;  ///< of operands, the action included
  int (*run)(const Arguments& arguments, Session& session);
};

constexpr Action kActions[] = {
    {"list", "FILE", 2, list}, {"put", "FILE NAME SRC", 4, put}, {"get", "FILE NAME DST", 4, get}, {"delete", "FILE NAME", 3, remove}};

int run(const Arguments& arguments, Session& session) {
  const std::string& name = arguments.operand(0);
  std::vector<std::string> known;
  for (const Action& action : kActions) {
    known.emplace_back(action.name);
    if (action.name != name) continue;
    if (arguments.operands().size() != action.count) throw UsageError("'attachment " + name + "' takes " + std::string(action.operands));
    if (arguments.has("-U") && name != "list" && name != "get") throw UsageError("-U reads only, and 'attachment " + name + "' writes");
    return action.run(arguments, session);
  }
  throw UsageError("there is no 'attachment " + name + "'", did_you_mean(name, known));
}

}  // namespace

const Command& attachment_command() {
  static const Command command = {
      .name = "attachment",
      .operands = "list|put|get|delete FILE [NAME [SRC|DST]]",
      .summary = "files kept inside an image beside its disk",
      .description =
          "  list FILE                 show what is attached\n"
          "  put FILE NAME SRC         attach the contents of SRC, or of standard input if that is '-'\n"
          "  get FILE NAME DST         write what is attached into a new file, or to standard output if that is '-'\n"
          "  delete FILE NAME          free it\n\n"
          "What is attached belongs to the image or, with -l, to a snapshot, with which it is deleted: the memory of a virtual machine at "
          "that moment, or notes. It is stored, compressed and verified like the disk, and may be as large.\n\n"
          "An image is written in place only if its format is certain: give it with -f.",
      .options =
          option_rows({{format_option(),
                        {'l', "", "SNAPSHOT", "what belongs to this snapshot, instead of the image"},
                        force_option("put: replace what is attached under that name; get: replace DST if it exists"),
                        unlocked_option()},
                       parent_options(),
                       reference_options(),
                       opening_options(),
                       {{0, "max-output-bytes", "SIZE", "get: give up rather than write more than this"}, sync_option(), json_option()}}),
      .min_operands = 2,
      .max_operands = 4,
      .exit_codes = {},
      .examples = {"varve attachment put -f varve -l running disk.varve memory vm.state", "varve attachment list disk.varve",
                   "varve attachment get -l running disk.varve memory - | restore-vm"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
