#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <stdexcept>
#include <thread>
#include <vector>

#include "base/pool.h"
#include "base/random.h"
#include "exec/background_task.h"
#include "exec/pipeline.h"
#include "exec/progress_meter.h"
#include "support/test.h"

using namespace varve;  // NOLINT: a test of one namespace

namespace {

struct Item {
  size_t number = 0;
  std::vector<int> scratch;  // grows once and is reused
};

constexpr unsigned kThreadCounts[] = {1, 2, 3, 8, 64};

/// Sleeps so that later items are often done before earlier ones.
void dawdle(size_t number) { std::this_thread::sleep_for(std::chrono::microseconds(SeededRandom(number).below(200))); }

/// Numbers 0 to count - 1, delivered into `out`; `trouble` may throw at step 0 to 3 (next, work, deliver, finish) of any item.
template <typename Trouble>
std::vector<size_t> run_numbers(size_t count, unsigned threads, Trouble trouble, const CancelToken* cancel = nullptr) {
  std::vector<size_t> out;
  size_t made = 0;
  OrderedSteps<Item> steps;
  steps.next = [&](Item& item) {
    if (made == count) return false;
    trouble(0, made);
    item.number = made++;
    return true;
  };
  steps.work = [&](Item& item) {
    dawdle(item.number);
    trouble(1, item.number);
  };
  steps.deliver = [&](Item& item) {
    trouble(2, item.number);
    out.push_back(item.number);
  };
  steps.finish = [&](Item& item) { trouble(3, item.number); };
  try {
    run_ordered(steps, {threads, cancel});
  } catch (const Error&) {
    out.push_back(SIZE_MAX);  // the caller's proof that it was thrown here
  }
  return out;
}

std::vector<size_t> first_numbers(size_t count) {
  std::vector<size_t> all;
  for (size_t i = 0; i < count; ++i) all.push_back(i);
  return all;
}

}  // namespace

TEST_CASE("threads: a pipeline delivers in order whatever each item costs") {
  for (const unsigned threads : kThreadCounts) {
    CAPTURE(threads);
    for (const size_t count : {0U, 1U, 2U, 500U}) CHECK(run_numbers(count, threads, [](int, size_t) {}) == first_numbers(count));
  }
}

TEST_CASE("threads: next and deliver each run alone, work beside itself, and every item is finished") {
  for (const unsigned threads : kThreadCounts) {
    CAPTURE(threads);
    std::atomic<int> making{0}, delivering{0}, working{0}, most{0}, finished{0};
    size_t made = 0;
    OrderedSteps<Item> steps;
    steps.next = [&](Item& item) {
      REQUIRE(making.fetch_add(1) == 0);
      item.number = made++;
      making.fetch_sub(1);
      return item.number < 300;
    };
    steps.work = [&](Item& item) {
      const int now = working.fetch_add(1) + 1;
      int seen = most.load();
      while (now > seen && !most.compare_exchange_weak(seen, now)) {
      }
      dawdle(item.number);
      working.fetch_sub(1);
    };
    steps.deliver = [&](Item&) {
      REQUIRE(delivering.fetch_add(1) == 0);
      delivering.fetch_sub(1);
    };
    steps.finish = [&](Item&) { finished.fetch_add(1); };
    run_ordered(steps, {threads, nullptr});
    CHECK(finished == 300);
    CHECK(most <= static_cast<int>(threads) + 2);
    if (threads > 1) CHECK(most > 1);
  }
}

TEST_CASE("threads: items are as many as workers, and are reused") {
  std::mutex mutex;
  std::set<const Item*> items;
  size_t made = 0;
  OrderedSteps<Item> steps;
  steps.next = [&](Item& item) { return item.number = made++, made <= 400; };
  steps.work = [&](Item& item) {
    item.scratch.resize(1000);
    dawdle(item.number);
  };
  steps.deliver = [&](Item& item) {
    const std::lock_guard lock(mutex);
    items.insert(&item);
  };
  run_ordered(steps, {3, nullptr});  // without finish
  CHECK(items.size() >= 1);
  CHECK(items.size() <= 5);
}

TEST_CASE("threads: an exception of next, work or deliver comes after all earlier items and before all later ones") {
  for (const unsigned threads : kThreadCounts) {
    for (int step = 0; step < 3; ++step) {
      for (const size_t bad : {0U, 1U, 57U, 199U}) {
        CAPTURE(threads);
        CAPTURE(step);
        std::vector<size_t> expected = first_numbers(bad);
        expected.push_back(SIZE_MAX);
        CHECK(run_numbers(200, threads, [&](int at, size_t number) {
                if (at == step && number == bad) throw Error(Errc::io, "broken");
              }) == expected);
      }
    }
  }
}

TEST_CASE("threads: of two failing items the earlier one is reported, whichever fails first") {
  for (const unsigned threads : kThreadCounts) {
    size_t made = 0;
    OrderedSteps<Item> steps;
    steps.next = [&](Item& item) { return item.number = made++, true; };
    steps.work = [&](Item& item) {
      if (item.number == 40) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      if (item.number >= 40) throw Error(Errc::corrupt, std::to_string(item.number));
    };
    steps.deliver = [](Item&) {};
    std::string message;
    try {
      run_ordered(steps, {threads, nullptr});
    } catch (const Error& e) {
      message = e.message();
    }
    CHECK(message == "40");
  }
}

TEST_CASE("threads: an exception of finish stops the pipeline") {
  for (const unsigned threads : kThreadCounts) {
    CAPTURE(threads);
    const auto out = run_numbers(100'000, threads, [](int at, size_t number) {
      if (at == 3 && number == 20) throw Error(Errc::io, "broken");
    });
    CHECK(out.back() == SIZE_MAX);
    CHECK(out.size() < 1000);
  }
}

TEST_CASE("threads: whatever is thrown reaches the caller, once") {
  OrderedSteps<Item> steps;
  steps.next = [](Item&) { return true; };
  steps.work = [](Item&) { throw std::out_of_range("not ours"); };
  steps.deliver = [](Item&) {};
  for (const unsigned threads : kThreadCounts) CHECK_THROWS_AS(run_ordered(steps, {threads, nullptr}), std::out_of_range);
}

TEST_CASE("threads: cancelling ends an endless pipeline soon") {
  for (const unsigned threads : kThreadCounts) {
    CancelToken cancel;
    std::atomic<size_t> worked{0};
    OrderedSteps<Item> steps;
    steps.next = [](Item&) { return true; };
    steps.work = [&](Item&) {
      if (worked.fetch_add(1) == 100) cancel.cancel();
    };
    steps.deliver = [](Item&) {};
    CHECK_ERRC(run_ordered(steps, {threads, &cancel}), Errc::cancelled);
    CHECK(worked <= 101 + threads + 2);
  }
}

TEST_CASE("threads: a pipeline that is cancelled before it starts takes nothing") {
  CancelToken cancel;
  cancel.cancel();
  size_t made = 0;
  OrderedSteps<Item> steps;
  steps.next = [&](Item&) { return ++made < 10; };
  steps.work = [](Item&) {};
  steps.deliver = [](Item&) {};
  CHECK_ERRC(run_ordered(steps, {2, &cancel}), Errc::cancelled);
  CHECK(made == 0);
}

TEST_CASE("the number of threads is that of the processors, 1 to 64") {
  CHECK(default_threads() >= 1);
  CHECK(default_threads() <= 64);
}

TEST_CASE("threads: progress never goes back, is never told by two threads at once, and ends at the total") {
  std::atomic<int> inside{0};
  std::vector<uint64_t> told;
  ProgressMeter meter(
      [&](uint64_t done, uint64_t total) {
        REQUIRE(inside.fetch_add(1) == 0);
        REQUIRE(total == 40'000);
        told.push_back(done);
        inside.fetch_sub(1);
      },
      40'000);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 1000; ++i) {
          meter.add(10);
          if (i % 100 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
      });
    }
  }
  meter.finish();
  CHECK(meter.done() == 40'000);
  CHECK(std::is_sorted(told.begin(), told.end()));
  CHECK(told.back() == 40'000);
  CHECK(told.size() >= 2);
}

TEST_CASE("progress is told about 20 times a second, not for each byte") {
  size_t calls = 0;
  ProgressMeter meter([&](uint64_t, uint64_t) { ++calls; }, 1'000'000);
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 10'000; ++i) meter.add(1);
  const auto periods = (std::chrono::steady_clock::now() - start) / std::chrono::milliseconds(50);
  CHECK(calls >= 1);
  CHECK(calls <= static_cast<size_t>(periods) + 1);
  ProgressMeter silent({}, 10);
  silent.add(10);
  silent.finish();
}

TEST_CASE("threads: a pool never lends one object to two threads") {
  struct Thing {
    std::atomic<int> users{0};
  };
  std::atomic<int> made{0};
  Pool<Thing> pool([&] { return ++made, std::make_unique<Thing>(); }, 3);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 6; ++t) {
      threads.emplace_back([&] {
        for (int i = 0; i < 2000; ++i) {
          const auto thing = pool.borrow();
          REQUIRE(thing->users.fetch_add(1) == 0);
          thing->users.fetch_sub(1);
        }
      });
    }
  }
  CHECK(pool.idle() <= 3);
  CHECK(made >= 1);
}

TEST_CASE("threads: a background task works until there is nothing more, again after each wake, and survives what a step throws") {
  std::atomic<int> left{0};
  std::atomic<int> steps{0};
  std::atomic<bool> gate{true};
  BackgroundTask task([&] {
    ++steps;
    gate.wait(false);
    if (left == 0) return false;  // a wake that came too late
    const int now = --left;
    if (now == 5) throw std::runtime_error("no");
    return now > 0;
  });
  CHECK(steps == 0);
  const auto wait_for = [&](int wanted) {
    for (int i = 0; i < 20000 && left > wanted; ++i) std::this_thread::sleep_for(std::chrono::microseconds(200));
    return left == wanted;
  };
  left = 4;
  task.wake();
  CHECK(wait_for(0));
  gate = false;  // no wake comes when it has begun
  int before = steps;
  left = 7;
  do task.wake();  // one that comes with the end of the last step may be lost: it is followed by others
  while (steps == before);
  gate = true;
  gate.notify_all();
  CHECK(wait_for(5));
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(left == 5);  // it ends with what is thrown
  do task.wake();
  while (left == 5);
  CHECK(wait_for(0));
  task.stop();
  before = steps;
  left = 10;
  task.wake();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));
  CHECK(steps == before);
}

TEST_CASE("threads: a background task that ends while it works waits for its step") {
  for (int i = 0; i < 50; ++i) {
    std::atomic<bool> working{false};
    {
      BackgroundTask task([&] {
        working = true;
        dawdle(static_cast<size_t>(i));
        working = false;
        return true;
      });
      task.wake();
      if (i % 2 == 0) dawdle(static_cast<size_t>(i) + 100);
    }
    CHECK_FALSE(working);
  }
}
