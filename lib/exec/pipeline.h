// Work in parallel, results in order.
//
// Each worker owns one item for its life. It takes the next piece of work under a lock, which gives it a ticket; works on it beside the
// others; waits until all earlier tickets are delivered; delivers; passes the turn on; and finishes what needs no order. So what
// is in flight is bounded by the number of workers, results come in the order in which pieces were taken whatever their cost, and
// one thread gives the same result as many.
#ifndef VARVE_EXEC_PIPELINE_H
#define VARVE_EXEC_PIPELINE_H

#include <functional>
#include <memory>

#include "varve/progress.h"

namespace varve {

/// The steps of a pipeline whose items are made in order, worked on in parallel and delivered in order.
template <typename Item>
struct OrderedSteps {
  std::function<bool(Item&)> next;     ///< one thread at a time, in order; false: no more items
  std::function<void(Item&)> work;     ///< many threads at once
  std::function<void(Item&)> deliver;  ///< one at a time, in the order of next()
  std::function<void(Item&)> finish;   ///< many threads at once, after deliver of the same item; may be empty
};

struct PipelineOptions {
  unsigned threads = 0;  ///< 0: default_threads()
  const CancelToken* cancel = nullptr;
};

/// As many threads as this process may run on processors at once, 1 to 64.
unsigned default_threads();

namespace detail {

/// One worker's steps, its item inside.
struct WorkerSteps {
  std::function<bool()> next;
  std::function<void()> work;
  std::function<void()> deliver;
  std::function<void()> finish;  // may be empty
};

/// `make_worker` is called once for each worker, in the caller's thread.
void run_workers(const std::function<WorkerSteps()>& make_worker, const PipelineOptions& options);

}  // namespace detail

/// Runs the steps over all items and returns when the last is finished; all workers are joined, whatever happens.
///
/// An exception of next(), work() or deliver() is rethrown here after all earlier items were delivered and none of the later: which one
/// the caller sees does not depend on the number of threads. An exception of finish(), or the cancel token (Errc::cancelled), stops the
/// rest at once: each worker ends with the step that it is in. next() and deliver() may run at the same time, on different items.
///
/// There are two workers more than threads, so that processors have work while some wait for their turn; with one thread there is
/// one worker, the caller. Each has one default-constructed Item, which next() gets back in the state in which finish() left it: buffers in
/// it are reused, and items in flight are bounded by threads + 2. If the host refuses to start threads, fewer do the work.
template <typename Item>
void run_ordered(const OrderedSteps<Item>& steps, const PipelineOptions& options) {
  detail::run_workers(
      [&steps] {
        // std::function must be copyable, and an Item need not be.
        const auto item = std::make_shared<Item>();
        detail::WorkerSteps worker;
        worker.next = [&steps, item] { return steps.next(*item); };
        worker.work = [&steps, item] { steps.work(*item); };
        worker.deliver = [&steps, item] { steps.deliver(*item); };
        if (steps.finish) worker.finish = [&steps, item] { steps.finish(*item); };
        return worker;
      },
      options);
}

}  // namespace varve

#endif
