/* C99 all through: the header, its types and its calls need nothing of C++. */
#include "capi/tour.h"

#include <stdio.h>
#include <string.h>
#include <varve/varve.h>

enum { SIZE = 1 << 20, BLOCK = 4096 };

/* Ends the step with its line, unless what it says holds. */
#define EXPECT(what)              \
  do {                            \
    if (!(what)) return __LINE__; \
  } while (0)

static int options_with(const char* name, const char* value, varve_options** options) {
  EXPECT(varve_options_new(options, NULL) == VARVE_OK);
  EXPECT(varve_options_set(*options, "format", "varve", NULL) == VARVE_OK);
  EXPECT(varve_options_set(*options, name, value, NULL) == VARVE_OK);
  return 0;
}

static int errors(void) {
  varve_error* error = NULL;
  varve_options* options = NULL;
  varve_image* image = NULL;
  uint64_t offset;
  EXPECT(options_with("read-only", "on", &options) == 0);
  EXPECT(varve_open("/nonexistent/a.varve", options, &image, &error) == VARVE_NOT_FOUND);
  EXPECT(varve_error_code(error) == VARVE_NOT_FOUND && varve_error_message(error)[0] != '\0');
  EXPECT(strcmp(varve_error_path(error), "/nonexistent/a.varve") == 0);
  EXPECT(varve_error_file_offset(error, &offset) == 0 && varve_error_disk_offset(error, &offset) == 0);
  EXPECT(strcmp(varve_code_name(varve_error_code(error)), "not_found") == 0 && varve_code_errno(VARVE_OK) == 0);
  varve_error_free(error);
  varve_options_free(options);
  return 0;
}

static int queue_io(varve_image* image) {
  char block[BLOCK], back[BLOCK];
  struct iovec out, in;
  varve_queue* queue = NULL;
  varve_completion done[2];
  memset(block, 'q', sizeof(block));
  out.iov_base = block;
  out.iov_len = sizeof(block);
  in.iov_base = back;
  in.iov_len = sizeof(back);
  EXPECT(varve_queue_new(image, 8, &queue, NULL) == VARVE_OK);
  EXPECT(varve_queue_eventfd(queue, NULL) >= 0);
  EXPECT(varve_queue_write(queue, BLOCK, &out, 1, VARVE_FUA, 1, NULL) == VARVE_OK);
  EXPECT(varve_queue_wait(queue, done, 1, 2, -1) == 1 && done[0].cookie == 1 && done[0].code == VARVE_OK);
  EXPECT(varve_queue_read(queue, BLOCK, &in, 1, 2, NULL) == VARVE_OK);
  EXPECT(varve_queue_zero(queue, 0, BLOCK, 0, 3, NULL) == VARVE_OK);
  EXPECT(varve_queue_wait(queue, done, 2, 2, -1) == 2);
  EXPECT(memcmp(block, back, sizeof(block)) == 0);
  EXPECT(varve_queue_discard(queue, 0, BLOCK, 0, 4, NULL) == VARVE_OK && varve_queue_flush(queue, 5, NULL) == VARVE_OK);
  EXPECT(varve_queue_wait(queue, done, 2, 2, -1) == 2);
  EXPECT(varve_queue_poll(queue, done, 2) == 0 && varve_queue_cancel(queue) == 0 && varve_queue_in_flight(queue) == 0);
  varve_queue_free(queue);
  return 0;
}

static int plain_io(varve_image* image) {
  char block[BLOCK];
  varve_extent extent;
  varve_limits limits;
  memset(block, 'p', sizeof(block));
  EXPECT(varve_write(image, 0, block, sizeof(block), 0, NULL) == VARVE_OK && varve_flush(image, NULL) == VARVE_OK);
  EXPECT(varve_read(image, 0, block, sizeof(block), NULL) == VARVE_OK && block[17] == 'p');
  EXPECT(varve_zero(image, 0, BLOCK, 0, NULL) == VARVE_OK && varve_discard(image, 0, BLOCK, 0, NULL) == VARVE_OK);
  EXPECT(varve_extent_at(image, SIZE / 2, &extent, NULL) == VARVE_OK && extent.kind == VARVE_EXTENT_ABSENT);
  EXPECT(varve_get_limits(image, &limits, NULL) == VARVE_OK && limits.logical_sector == 512);
  EXPECT(varve_size(image) == SIZE && varve_is_writable(image) == 1);
  return 0;
}

static void count_key(void* user, const char* key, const char* value) {
  if (strcmp(key, "format") == 0 && strcmp(value, "varve") == 0) ++*(int*)user;
}

static void count_snapshot(void* user, const varve_snapshot* snapshot) {
  if (strcmp(snapshot->name, "then") == 0 && snapshot->time == 5) ++*(int*)user;
}

static int progress(void* user, uint64_t done, uint64_t total) {
  *(int*)user = 1;
  return done > total;
}

static int whole(varve_image* image) {
  varve_check_report report;
  int keys = 0, snapshots = 0, calls = 0;
  EXPECT(varve_info(image, 0, count_key, &keys, NULL) == VARVE_OK && keys == 1);
  EXPECT(varve_snapshot_create(image, "now", 5, NULL) == VARVE_OK && varve_snapshot_rename(image, "now", "then", NULL) == VARVE_OK);
  EXPECT(varve_snapshot_list(image, count_snapshot, &snapshots, NULL) == VARVE_OK && snapshots == 1);
  EXPECT(varve_snapshot_revert(image, "then", NULL) == VARVE_OK && varve_snapshot_delete(image, "then", 0, NULL) == VARVE_OK);
  EXPECT(varve_resize(image, 2 * SIZE, 0, NULL) == VARVE_OK && varve_resize(image, SIZE, 1, NULL) == VARVE_OK);
  EXPECT(varve_check(image, "none", 1, NULL, progress, &calls, &report, NULL) == VARVE_OK && report.damages == 0 && calls == 1);
  return 0;
}

static int copies(const char* source, const char* target) {
  varve_options *from = NULL, *to = NULL;
  int calls = 0;
  EXPECT(options_with("read-only", "on", &from) == 0 && options_with("force", "on", &to) == 0);
  EXPECT(varve_convert(source, from, target, to, progress, &calls, NULL) == VARVE_OK && calls == 1);
  varve_options_free(from);
  varve_options_free(to);
  return 0;
}

int c_tour(const char* directory) {
  char path[4096], copy[4096];
  varve_options* options = NULL;
  varve_image* image = NULL;
  int line;
  snprintf(path, sizeof(path), "%s/a.varve", directory);
  snprintf(copy, sizeof(copy), "%s/b.varve", directory);
  EXPECT(varve_version() != 0 && varve_version_string()[0] != '\0' && varve_has_feature("queues") == 1);
  if ((line = errors()) != 0) return line;
  EXPECT(options_with("read-only", "off", &options) == 0);
  EXPECT(varve_create(path, SIZE, options, &image, NULL) == VARVE_OK && varve_close(image, NULL) == VARVE_OK);
  varve_free(image);
  EXPECT(varve_open(path, options, &image, NULL) == VARVE_OK);
  if ((line = plain_io(image)) != 0 || (line = queue_io(image)) != 0 || (line = whole(image)) != 0) return line;
  EXPECT(varve_close(image, NULL) == VARVE_OK);
  varve_free(image);
  varve_options_free(options);
  return copies(path, copy);
}
