/* How a hypervisor, or any program with an event loop, uses libvarve: hypervisor PATH
 *
 * A guest's disk has two queues, and one thread serves both. It never waits for the disk but in poll(2), where it would wait for network,
 * timers and the guest as well. In the middle a snapshot is taken, and the guest notices nothing. Build it with
 *
 *     cc -std=c99 hypervisor.c $(pkg-config --cflags --libs varve)
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <varve/varve.h>

enum { QUEUES = 2, DEPTH = 8, BLOCK = 65536, WRITES = 400, SNAPSHOT_AT = 300, FLUSH = DEPTH };
static const uint64_t kDiskSize = (uint64_t)64 << 20;

/* A queue of the guest's disk. The cookie of a request is the number of its buffer, that of the flush at the end is FLUSH. */
struct guest_queue {
  varve_queue* queue;
  uint64_t first_byte; /* each queue writes to its own half of the disk */
  unsigned submitted, completed;
  int is_flushed;
  unsigned char buffers[DEPTH][BLOCK]; /* the guest's memory */
};

/* Every function of the library tells like this what went wrong. */
static int failed(const char* what, varve_error* error) {
  fprintf(stderr, "%s: %s\n", what, varve_error_message(error));
  varve_error_free(error);
  return -1;
}

/* The guest has something to write: it is read from its memory until the completion was taken. When all is written, it flushes. */
static int submit_next(struct guest_queue* guest, unsigned buffer) {
  varve_error* error = NULL;
  struct iovec segment;
  if (guest->submitted < WRITES) {
    const uint64_t offset = guest->first_byte + (uint64_t)guest->submitted * BLOCK % (kDiskSize / QUEUES);
    memset(guest->buffers[buffer], (int)(++guest->submitted % 256), BLOCK);
    segment.iov_base = guest->buffers[buffer];
    segment.iov_len = BLOCK;
    if (varve_queue_write(guest->queue, offset, &segment, 1, 0, buffer, &error) != VARVE_OK) return failed("write", error);
  } else if (guest->completed == WRITES) {
    if (varve_queue_flush(guest->queue, FLUSH, &error) != VARVE_OK) return failed("flush", error);
  }
  return 0;
}

/* The eventfd was readable. It is read empty first: what completes from now on makes it readable again. */
static int take_completions(struct guest_queue* guest, int eventfd) {
  varve_completion done[DEPTH];
  uint64_t wake_ups;
  int count, i, result = 0;
  if (read(eventfd, &wake_ups, sizeof(wake_ups)) < 0 && errno != EAGAIN && errno != EINTR) {
    perror("eventfd");
    return -1;
  }
  while ((count = varve_queue_poll(guest->queue, done, DEPTH)) > 0) {
    for (i = 0; i < count; ++i) {
      if (done[i].code != VARVE_OK) {
        result = failed("the guest's disk", done[i].error); /* a hypervisor would tell the guest, or stop it */
      } else if (done[i].cookie == FLUSH) {
        guest->is_flushed = 1;
      } else {
        ++guest->completed;
        if (submit_next(guest, (unsigned)done[i].cookie) != 0) result = -1;
      }
    }
  }
  return count < 0 ? count : result;
}

static int run(varve_image* image, struct guest_queue* guests) {
  varve_error* error = NULL;
  struct pollfd waiting[QUEUES];
  int has_snapshot = 0;
  unsigned i, buffer;
  for (i = 0; i < QUEUES; ++i) {
    waiting[i].events = POLLIN;
    waiting[i].fd = varve_queue_eventfd(guests[i].queue, &error);
    if (waiting[i].fd < 0) return failed("eventfd", error);
    for (buffer = 0; buffer < DEPTH; ++buffer)
      if (submit_next(&guests[i], buffer) != 0) return -1;
  }
  while (!guests[0].is_flushed || !guests[1].is_flushed) {
    if (poll(waiting, QUEUES, -1) < 0) {
      if (errno == EINTR) continue;
      perror("poll");
      return -1;
    }
    for (i = 0; i < QUEUES; ++i)
      if (waiting[i].revents != 0 && take_completions(&guests[i], waiting[i].fd) != 0) return -1;
    if (!has_snapshot && guests[0].completed + guests[1].completed >= SNAPSHOT_AT) {
      /* Requests are under way: those that have begun end first, the others begin afterwards. */
      const uint64_t now = (uint64_t)time(NULL) * 1000000000;
      if (varve_snapshot_create(image, "while-running", now, &error) != VARVE_OK) return failed("snapshot", error);
      has_snapshot = 1;
    }
  }
  return 0;
}

/* A new image gets its name when it is closed. Then it is opened as the one of a running guest. */
static varve_image* make_and_open(const char* path) {
  varve_options* options = NULL;
  varve_image* image = NULL;
  varve_error* error = NULL;
  int code = varve_options_new(&options, &error);
  if (code == VARVE_OK) code = varve_options_set(options, "format", "varve", &error);
  if (code == VARVE_OK) code = varve_options_set(options, "read-only", "off", &error);
  if (code == VARVE_OK) code = varve_create(path, kDiskSize, options, &image, &error);
  if (code == VARVE_OK) code = varve_close(image, &error);
  varve_free(image);
  image = NULL;
  if (code == VARVE_OK) code = varve_open(path, options, &image, &error);
  varve_options_free(options);
  if (code != VARVE_OK) failed("image", error);
  return image;
}

int main(int argc, char** argv) {
  static struct guest_queue guests[QUEUES];
  varve_error* error = NULL;
  varve_image* image;
  int result = 0;
  unsigned i;
  if (argc != 2) return fprintf(stderr, "usage: hypervisor PATH\n"), 2;
  if ((image = make_and_open(argv[1])) == NULL) return 1;
  for (i = 0; i < QUEUES && result == 0; ++i) {
    guests[i].first_byte = i * (kDiskSize / QUEUES);
    if (varve_queue_new(image, DEPTH, &guests[i].queue, &error) != VARVE_OK) result = failed("queue", error);
  }
  if (result == 0) result = run(image, guests);
  for (i = 0; i < QUEUES; ++i) varve_queue_free(guests[i].queue); /* after this no buffer is touched any more */
  if (varve_close(image, &error) != VARVE_OK) result = failed("close", error);
  varve_free(image);
  if (result == 0) printf("%d writes, one snapshot\n", QUEUES * WRITES);
  return result == 0 ? 0 : 1;
}
