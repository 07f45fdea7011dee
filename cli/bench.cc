#include "varve/bench.h"

#include <charconv>
#include <iomanip>
#include <limits>

#include "arguments.h"
#include "command.h"
#include "exit_codes.h"
#include "json_output.h"
#include "options.h"
#include "secrets.h"
#include "varve/text.h"

namespace varve::cli {
namespace {

template <typename Number>
Number number_value(const Arguments& arguments, std::string_view key, Number otherwise) {
  if (!arguments.has(key)) return otherwise;
  const std::string text = arguments.value(key);
  Number number{};
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failed != std::errc() || end != text.data() + text.size() || !(number >= Number{}) || number > std::numeric_limits<Number>::max())
    throw UsageError(std::string(key.front() == '-' ? "" : "--") + std::string(key) + " cannot be '" + text + "'", "give a number");
  return number;
}

uint64_t size_or(const Arguments& arguments, std::string_view key, std::string_view what, uint64_t otherwise) {
  return arguments.has(key) ? size_value(arguments.value(key), what) : otherwise;
}

BenchOptions bench_options(const Arguments& arguments, const CancelToken& cancel) {
  BenchOptions options;
  options.write = arguments.has("-w");
  options.random = arguments.has("random");
  options.block = size_or(arguments, "-s", "-s", options.block);
  options.step = size_or(arguments, "-S", "-S", 0);
  options.offset = size_or(arguments, "offset", "--offset", 0);
  options.range = size_or(arguments, "range", "--range", 0);
  options.seconds = number_value<double>(arguments, "seconds", 0);
  options.count = number_value<uint64_t>(arguments, "-c", options.seconds > 0 ? 0 : options.count);
  options.depth = number_value<unsigned>(arguments, "-d", options.depth);
  options.queues = number_value<unsigned>(arguments, "queues", options.queues);
  options.workers = number_value<unsigned>(arguments, "-j", options.workers);
  options.flush_interval = number_value<uint64_t>(arguments, "flush-interval", 0);
  if (arguments.has("fill")) {
    const auto fill = number_value<unsigned>(arguments, "fill", 0);
    if (fill > 255) throw UsageError("--fill cannot be more than 255", "give the value of a byte");
    options.fill = static_cast<uint8_t>(fill);
  }
  options.cancel = &cancel;
  if (options.random && options.step != 0) throw UsageError("-S does not go with --random: places have no order then");
  if (!options.write && (options.flush_interval != 0 || options.fill))
    throw UsageError("--flush-interval and --fill need -w: what is read is not flushed");
  return options;
}

double per_second(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

void print_text(std::ostream& out, const BenchOptions& options, const BenchResult& result) {
  const double iops = per_second(static_cast<double>(result.requests), result.seconds);
  const auto micro = [](uint64_t nanoseconds) { return static_cast<double>(nanoseconds) / 1000; };
  out << std::fixed << std::setprecision(0) << result.requests << (options.write ? " writes of " : " reads of ")
      << format_size(options.block) << " in " << std::setprecision(3) << result.seconds << " s: " << std::setprecision(0) << iops
      << " a second, " << format_size(static_cast<uint64_t>(per_second(static_cast<double>(result.bytes), result.seconds)))
      << " a second\n";
  const auto& l = result.latency;
  out << std::setprecision(1) << "latency in microseconds: mean " << micro(l.mean) << ", median " << micro(l.p50) << ", 90 % "
      << micro(l.p90) << ", 99 % " << micro(l.p99) << ", 99.9 % " << micro(l.p999) << ", most " << micro(l.most) << '\n';
  if (options.write)
    out << result.flushes << (result.flushes == 1 ? " flush" : " flushes") << ", the last of " << std::setprecision(3)
        << result.flush_seconds << " s\n";
}

Json to_json(const std::string& path, const BenchOptions& options, const BenchResult& result) {
  const auto& l = result.latency;
  return {{"file", path},
          {"operation", options.write ? "write" : "read"},
          {"pattern", options.random ? "random" : "sequential"},
          {"block_size", options.block},
          {"depth", options.depth},
          {"queues", options.queues},
          {"requests", result.requests},
          {"bytes", result.bytes},
          {"flushes", result.flushes},
          {"seconds", result.seconds},
          {"last_flush_seconds", result.flush_seconds},
          {"iops", per_second(static_cast<double>(result.requests), result.seconds)},
          {"mb_per_second", per_second(static_cast<double>(result.bytes) / 1e6, result.seconds)},
          {"latency_ns", {{"mean", l.mean}, {"p50", l.p50}, {"p90", l.p90}, {"p99", l.p99}, {"p99.9", l.p999}, {"max", l.most}}}};
}

int run(const Arguments& arguments, Session& session) {
  const std::string& path = arguments.operand(0);
  const BenchOptions options = bench_options(arguments, session.cancel);
  OpenOptions how = open_options(arguments, session);
  if (options.write) how.access = Access::read_write;
  Image image = Image::open(path, how);
  const BenchResult result = bench(image, options);
  image.close();
  if (arguments.has("json"))
    print_json(session.out, to_json(path, options, result));
  else
    print_text(session.out, options, result);
  return kDone;
}

std::vector<Option> option_table() {
  return option_rows({{format_option(),
                       {'w', "", "", "write instead of reading; destroys what the disk holds"},
                       {0, "random", "", "at random places instead of one behind the other"},
                       {'s', "", "SIZE", "bytes of a request; 4K without it"},
                       {'S', "", "SIZE", "from one request to the next; without it, as long as a request is"},
                       {'c', "", "N", "number of requests; 75000 without it, and without --seconds"},
                       {0, "seconds", "N", "requests until so much time is over"},
                       {'d', "", "N", "requests under way at once in each queue, 1 to 256; 1 without it"},
                       {0, "queues", "N", "queues that are filled beside each other, each by a thread of its own; 1 without it"},
                       {'j', "", "N", "threads that carry the requests out; without it, twice as many as processors"},
                       {0, "flush-interval", "N", "a flush after so many writes; without it, only at the end"},
                       {0, "offset", "SIZE", "where the part of the disk begins that is used"},
                       {0, "range", "SIZE", "how long that part is; without it, up to the end"},
                       {0, "fill", "N", "the value of all bytes written; without it, half of them are random"},
                       snapshot_option(),
                       unlocked_option()},
                      parent_options(),
                      reference_options(),
                      opening_options(),
                      {sync_option(), cache_option(), json_option()}});
}

}  // namespace

const Command& bench_command() {
  static const Command command = {
      .name = "bench",
      .operands = "FILE",
      .summary = "how fast an image is read or written",
      .description =
          "Reads, or with -w writes, blocks of one size through the library's queues, and tells how many a second, and how long one "
          "takes. The time of writes includes a last flush.\n\n"
          "Writing destroys what the disk holds, and wants the format with -f.",
      .options = option_table(),
      .min_operands = 1,
      .max_operands = 1,
      .exit_codes = {},
      .examples = {"varve bench --random -d 32 --seconds 10 disk.varve",
                   "varve bench -f varve -w --flush-interval 1 -S 1052672 --json scratch.varve"},
      .run = run,
  };
  return command;
}

}  // namespace varve::cli
