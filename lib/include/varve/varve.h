/* The C interface of libvarve: open, create, read, write and look after virtual disk images, from one thread or from many queues.
 *
 * ---- what holds everywhere -------------------------------------------------------------------------------------------------------
 *
 * Results. A function that can fail returns 0 (or, where it says so, a count) on success and one of varve_code, all negative, on failure.
 * Its last argument, `error`, may be NULL; else *error is set to NULL on success, and on failure to an object that tells more and that the
 * caller frees with varve_error_free(). Nothing is kept in thread-local variables, and errno is not part of the interface.
 *
 * Handles are opaque. Each comes from one function and goes back to the one that its comment names; giving back NULL does nothing. Nothing
 * else ends a handle's life, an error does not.
 *
 * Strings are UTF-8 by convention, end with a NUL, and are copied. Those that a handle or a callback shows live as long as said there.
 * Text that comes from an image (names of parents, snapshots) may hold any byte but NUL: escape it before a terminal sees it. Messages of
 * errors and warnings are escaped already.
 *
 * Threads. What is marked [any thread] may be called from any number of threads at once, on one handle too. What is marked [one thread]
 * needs the handle for itself. What is marked [exclusive] may be called from any thread, waits until the requests that are being carried
 * out have ended, and lets none begin until it returns: I/O goes on afterwards, no request is lost. From inside a callback no function may
 * be called on the handle that called it.
 *
 * Signals, forks. The library handles no signal, and its own threads have all of them blocked. A child of fork() must not use a handle of
 * its parent: functions refuse it there with VARVE_INVALID_ARGUMENT, and those that give handles back do nothing.
 *
 * Units. Offsets, lengths and sizes are bytes and need no alignment, though whole blocks are faster (struct varve_limits).
 *
 * Stability. Within one SONAME functions and constants are only added, structures never change (their `reserved` members are 0), and the
 * meaning of what there is stays. Callers ignore completion codes, extent flags and keys that they do not know.
 *
 * C99 or later, and C++. The C++ interface (varve/image.h and others) is not covered by this promise. See docs/api.md.
 */
#ifndef VARVE_VARVE_H
#define VARVE_VARVE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define VARVE_API __attribute__((visibility("default")))

/* ---- version and features ----------------------------------------------------------------------------------------------------------- */

#define VARVE_VERSION_MAJOR 0
#define VARVE_VERSION_MINOR 1
#define VARVE_VERSION_PATCH 0

/* Of the library that runs, which may be newer than the header: major << 32 | minor << 16 | patch. [any thread] */
VARVE_API uint64_t varve_version(void);
/* "0.1.0". Lives for ever. [any thread] */
VARVE_API const char* varve_version_string(void);
/* 1 if the library can do it, else 0. Features: "queues", "encryption", "snapshots", "direct-io", "convert"; "format:NAME",
 * "format:NAME:create" and so on with write, parent, zero, discard, resize, check, repair, snapshots, encryption. Of what it does not know
 * it says 0. [any thread] */
VARVE_API int varve_has_feature(const char* name);

/* ---- errors ------------------------------------------------------------------------------------------------------------------------- */

enum varve_code {
  VARVE_OK = 0,
  VARVE_CORRUPT = -1,          /* the image contradicts itself or its format's specification */
  VARVE_UNSUPPORTED = -2,      /* valid, but this library or this format does not do it */
  VARVE_INVALID_ARGUMENT = -3, /* the caller's words are wrong, or a format is ambiguous or undeclared */
  VARVE_IO = -4,               /* the host failed to read or write */
  VARVE_NO_SPACE = -5,         /* the host's storage or quota is full */
  VARVE_LOCKED = -6,           /* another program uses the image in a way that conflicts */
  VARVE_NOT_FOUND = -7,
  VARVE_EXISTS = -8,
  VARVE_PERMISSION = -9,      /* refused by the references policy, by the host, or because the image is open for reading only */
  VARVE_AUTHENTICATION = -10, /* a wrong key or passphrase, or none; or an encrypted image was changed by others */
  VARVE_LIMIT = -11,          /* a bound that the caller or the format sets would be exceeded */
  VARVE_CANCELLED = -12,
  VARVE_NO_MEMORY = -13,
  VARVE_AGAIN = -14,   /* the queue is full: take completions from it */
  VARVE_INTERNAL = -15 /* a fault of this library: please report it */
};

typedef struct varve_error varve_error;

/* "corrupt", "no_space", ...; "unknown" for other numbers. Lives for ever. [any thread] */
VARVE_API const char* varve_code_name(int code);
/* The nearest errno value (EIO, ENOSPC, ENOENT, ...), positive; 0 for VARVE_OK. [any thread] */
VARVE_API int varve_code_errno(int code);

/* The accessors take NULL, and then tell of no error. Strings live as long as the error. [any thread] */
VARVE_API int varve_error_code(const varve_error* error);
/* One line: file, what went wrong, where, and what to do. Never NULL. */
VARVE_API const char* varve_error_message(const varve_error* error);
/* The file at fault; "" if it is not known. */
VARVE_API const char* varve_error_path(const varve_error* error);
/* 1 and the place in that file, or of the disk; 0 if it is not known. */
VARVE_API int varve_error_file_offset(const varve_error* error, uint64_t* offset);
VARVE_API int varve_error_disk_offset(const varve_error* error, uint64_t* offset);
VARVE_API void varve_error_free(varve_error* error); /* [one thread] */

/* ---- options ------------------------------------------------------------------------------------------------------------------------ */

/* How an image is opened or created. Copied by whatever takes it, so one may serve many calls. [one thread] */
typedef struct varve_options varve_options;

VARVE_API int varve_options_new(varve_options** options, varve_error** error);
VARVE_API void varve_options_free(varve_options* options);

/* Sets one by its name; an empty value restores the default. VARVE_INVALID_ARGUMENT for a name or a value that is not known. Sizes may be
 * written as 65536, 64K, 2M, 1G; truths as on, off, true, false.
 *
 *   format            name of the image's format, such as "vmdk". Must be set. "auto": recognize it, which is only good for reading images
 *                     that no stranger and no guest has written: a guest can make its raw disk look like any format
 *   read-only         on (the default for opening) or off
 *   references        which files named inside an image may be opened: none, inside (the image's directory and below; the default), any
 *   parent            a path that replaces the image's reference to its parent; of an image to be created, its parent as it is stored
 *   parent-format     of an image to be created; its own if not set
 *   parent-snapshot   of an image to be created: the snapshot of the parent that it lies over
 *   ignore-parent     on: this layer alone
 *   snapshot          show this snapshot of the image instead of the disk as it is
 *   cache             writeback (the default): through the host's page cache; none: past it (O_DIRECT) wherever whole blocks are moved;
 *                     unsafe: flush does not wait for the medium
 *   lock              on (the default) or off: read an image that another program is writing
 *   require-encryption, accept-older-state     on or off
 *   min-generation, key-slot                   numbers
 *   threads           workers that carry out the requests of queues, 1 to 64; by default a few more than processors. With 1 a read may
 *                     wait for a write or flush; with more one is always free for reads
 *   write-buffer, cluster-cache, metadata      bytes of memory per layer: written but not encoded yet, decoded for reading, tables
 *   max-virtual-size, max-chain-depth          what is larger is VARVE_LIMIT
 *   force             on: an image to be created replaces an existing file when it is closed
 *   create.NAME       an option of the new image's format, as `varve formats` lists them
 */
VARVE_API int varve_options_set(varve_options* options, const char* name, const char* value, varve_error** error);

/* What opens an encrypted image, or its parents: `kind` is "passphrase" (a newline at its end does not count) or "raw" (32 bytes). It is
 * copied into memory that is wiped. Several may be given: they are tried in turn. For an image to be created the first one counts, and for
 * its parents all. */
VARVE_API int varve_options_add_secret(varve_options* options, const char* kind, const void* bytes, size_t length, varve_error** error);
VARVE_API void varve_options_clear_secrets(varve_options* options);

/* Called with each warning, one line, from any thread but never from two at once, as long as the image lives. */
typedef void varve_warning_fn(void* user, const char* message);
VARVE_API void varve_options_on_warning(varve_options* options, varve_warning_fn* show, void* user);

/* ---- where images lie --------------------------------------------------------------------------------------------------------------- */

/* A container of bytes that is no path: a file descriptor, or the caller's functions. Counts references: the creator has one, and an
 * image that is opened from it holds another. */
typedef struct varve_storage varve_storage;

/* All may be called from many threads at once; overlapping writes may leave either's bytes. They return 0 or a positive errno value. Those
 * that may be NULL are marked. */
typedef struct varve_storage_ops {
  size_t struct_size; /* sizeof(varve_storage_ops) when the caller was compiled */
  /* Fills the whole buffer; EPIPE if the storage ends before. */
  int (*read)(void* user, uint64_t offset, void* buffer, size_t length);
  int (*write)(void* user, uint64_t offset, const void* data, size_t length); /* grows it; may be NULL */
  int (*flush)(void* user); /* what was written before survives a power cut; may be NULL where there is no write */
  int (*size)(void* user, uint64_t* size);
  int (*resize)(void* user, uint64_t size); /* may be NULL: its size is fixed */
  /* The range reads as zeros and takes no space; EOPNOTSUPP: not possible, nothing has changed. May be NULL. */
  int (*punch)(void* user, uint64_t offset, uint64_t length);
  /* The run at `offset` (< size): how long, and whether it is a hole. May be NULL: all data. */
  int (*extent)(void* user, uint64_t offset, uint64_t* length, int* hole);
  void (*release)(void* user); /* nobody uses it any more; may be NULL */
} varve_storage_ops;

/* Over a regular file or block device that is open for what is to be done with it. The descriptor is duplicated, and no lock is taken.
 * `name` is for messages. `cache` as the option: "writeback", "none" (the file is opened again through /proc; VARVE_UNSUPPORTED where it
 * can't be) or "unsafe". [any thread] */
VARVE_API int varve_storage_from_fd(int fd, const char* name, const char* cache, varve_storage** storage, varve_error** error);
/* On failure `release` is not called. [any thread] */
VARVE_API int varve_storage_from_ops(const varve_storage_ops* ops, void* user, const char* name, varve_storage** storage,
                                     varve_error** error);
VARVE_API void varve_storage_free(varve_storage* storage); /* lets go of the caller's reference [any thread] */

enum varve_resolve_flags {
  VARVE_RESOLVE_WRITE = 1, /* it will be written to */
  VARVE_RESOLVE_CREATE = 2 /* it is a new file of an image to be created: empty, not published by anyone but the caller */
};

/* Gives the storage for a file that an image names: its parent, its extents. Called during open and create only, and after the references
 * policy has let the name pass: with "none" never. `name` is as the image holds it: hostile. (With "any" a relative one stands behind the
 * directory of the naming storage's name, if that has one.) Returns 0 or a positive errno value (ENOENT, EACCES). The reference goes over
 * to the library. */
typedef int varve_resolve_fn(void* user, const char* name, unsigned flags, varve_storage** storage);
VARVE_API void varve_options_on_resolve(varve_options* options, varve_resolve_fn* resolve, void* user);

/* ---- images ------------------------------------------------------------------------------------------------------------------------- */

typedef struct varve_image varve_image;

/* [any thread] */
VARVE_API int varve_open(const char* path, const varve_options* options, varve_image** image, varve_error** error);
/* Files that it names come from the resolver; without one they are refused with VARVE_PERMISSION. [any thread] */
VARVE_API int varve_open_storage(varve_storage* storage, const varve_options* options, varve_image** image, varve_error** error);
/* A new image of the option `format`, which is open for writing. It appears under its path, whole and durable, when varve_close() has
 * returned 0. With a parent `size` may be UINT64_MAX: the parent's. [any thread] */
VARVE_API int varve_create(const char* path, uint64_t size, const varve_options* options, varve_image** image, varve_error** error);
/* The same into an empty storage; it is complete when varve_close() has returned 0. */
VARVE_API int varve_create_storage(varve_storage* storage, uint64_t size, const varve_options* options, varve_image** image,
                                   varve_error** error);

/* Ends the use of the image: requests in queues that have not begun end with VARVE_CANCELLED, those being carried out are waited for, then
 * everything is made durable. Afterwards only reading, completions and varve_free() are left. After a failure what is on the medium is not
 * known; a created image has got no name. A second call does nothing. [exclusive] */
VARVE_API int varve_close(varve_image* image, varve_error** error);
/* Gives the handle back. An image that was not closed is given up: an opened one keeps what was flushed, a created one leaves nothing. Its
 * queues must have been freed. [one thread] */
VARVE_API void varve_free(varve_image* image);

VARVE_API uint64_t varve_size(const varve_image* image); /* of the disk; it changes with varve_resize() only [any thread] */
VARVE_API int varve_is_writable(const varve_image* image);

/* What a driver of a virtual machine may tell its guest. All but queue_depth are bytes. */
typedef struct varve_limits {
  uint32_t logical_sector;      /* of the disk, as the image says: 512 or 4096 */
  uint32_t physical_sector;     /* smaller writes cost a read */
  uint32_t discard_granularity; /* smaller discards do nothing, smaller zeros are written; 0: no discard */
  uint32_t best_request;        /* whole ones, aligned, are fastest */
  uint32_t memory_alignment;    /* of buffers; others are copied */
  uint32_t queue_depth;         /* the largest */
  uint64_t largest_request;
  uint64_t reserved[4];
} varve_limits;
VARVE_API int varve_get_limits(const varve_image* image, varve_limits* limits, varve_error** error); /* [any thread] */

/* Calls `show` for each thing that is known of layer `depth` (0: the image, 1: its parent, ...): keys such as "format", "path",
 * "virtual_size", "allocated_bytes", "cluster_size", "encrypted", "parent", "file", and the format's own. Numbers are decimal, truths
 * "true" and "false". The strings live during the call. VARVE_NOT_FOUND: there is no such layer. [any thread] */
typedef void varve_info_fn(void* user, const char* key, const char* value);
VARVE_API int varve_info(const varve_image* image, unsigned depth, varve_info_fn* show, void* user, varve_error** error);

/* ---- I/O that waits ------------------------------------------------------------------------------------------------------------------ */

enum varve_flags {
  VARVE_FUA = 1 /* of a write, zero or discard: when it ends, its bytes survive a power cut */
};

/* All [any thread], also while queues are used. A range that leaves the disk is VARVE_INVALID_ARGUMENT; unknown flags are, too. */
VARVE_API int varve_read(varve_image* image, uint64_t offset, void* buffer, size_t length, varve_error** error);
VARVE_API int varve_write(varve_image* image, uint64_t offset, const void* data, size_t length, unsigned flags, varve_error** error);
/* The range reads as zeros afterwards, whatever a parent holds. */
VARVE_API int varve_zero(varve_image* image, uint64_t offset, uint64_t length, unsigned flags, varve_error** error);
/* The contents no longer matter: the range reads as before or as zeros, never as a parent's. */
VARVE_API int varve_discard(varve_image* image, uint64_t offset, uint64_t length, unsigned flags, varve_error** error);
/* All that had ended when it was called survives a power cut, whichever thread or queue it came from. */
VARVE_API int varve_flush(varve_image* image, varve_error** error);

enum varve_extent_kind {
  VARVE_EXTENT_DATA = 0,
  VARVE_EXTENT_ZERO = 1,  /* reads as zeros, hides a parent */
  VARVE_EXTENT_ABSENT = 2 /* stored nowhere: reads as zeros */
};
enum varve_extent_flags { VARVE_EXTENT_COMPRESSED = 1, VARVE_EXTENT_HAS_HOST_OFFSET = 2 };

typedef struct varve_extent {
  uint64_t offset;
  uint64_t length; /* never 0; the next run may be of the same kind */
  uint32_t kind;
  uint32_t flags;
  uint32_t depth;       /* the layer that holds it: 0 is the image itself */
  uint32_t host_file;   /* number of the layer's file, with VARVE_EXTENT_HAS_HOST_OFFSET */
  uint64_t host_offset; /* where the run begins in it, with VARVE_EXTENT_HAS_HOST_OFFSET */
} varve_extent;
/* The run that begins at `offset` (< size). [any thread] */
VARVE_API int varve_extent_at(varve_image* image, uint64_t offset, varve_extent* extent, varve_error** error);

/* ---- queues -------------------------------------------------------------------------------------------------------------------------- */

/* Requests that are carried out beside each other, in any order, by the image's workers. Requests of one queue may overtake each other,
 * also on the same bytes; a flush alone waits for changes that came before it. Queues of one image get their turns evenly. All functions of
 * a queue are [any thread] but varve_queue_free(); a queue is fastest when one thread uses it. Free it before its image. */
typedef struct varve_queue varve_queue;

/* `depth`: how many requests it may hold that were submitted and not yet taken as completions, 1 to 4096. */
VARVE_API int varve_queue_new(varve_image* image, unsigned depth, varve_queue** queue, varve_error** error);
/* Cancels what has not begun, waits for the rest, and drops the completions. After it no buffer is touched any more. [one thread] */
VARVE_API void varve_queue_free(varve_queue* queue);

/* The following submit one request and return at once. The array `segments` is copied; what it points to belongs to the queue until the
 * request's completion was taken. VARVE_AGAIN if the queue is full; VARVE_INVALID_ARGUMENT for flags that are not known or too many
 * segments (1024); whatever else is wrong with a request its completion tells. A read whose bytes lie in memory may have ended when the
 * function returns. */
VARVE_API int varve_queue_read(varve_queue* queue, uint64_t offset, const struct iovec* segments, unsigned count, uint64_t cookie,
                               varve_error** error);
VARVE_API int varve_queue_write(varve_queue* queue, uint64_t offset, const struct iovec* segments, unsigned count, unsigned flags,
                                uint64_t cookie, varve_error** error);
VARVE_API int varve_queue_zero(varve_queue* queue, uint64_t offset, uint64_t length, unsigned flags, uint64_t cookie, varve_error** error);
VARVE_API int varve_queue_discard(varve_queue* queue, uint64_t offset, uint64_t length, unsigned flags, uint64_t cookie,
                                  varve_error** error);
/* Begins when all writes, zeros and discards that were submitted to this queue before it have ended, and does what varve_flush() does.
 * Requests that are submitted after it do not wait for it. */
VARVE_API int varve_queue_flush(varve_queue* queue, uint64_t cookie, varve_error** error);

typedef struct varve_completion {
  uint64_t cookie;
  int32_t code; /* 0, or one of varve_code */
  uint32_t reserved;
  varve_error* error; /* NULL if code is 0; else the caller's, who frees it; may be NULL for want of memory */
} varve_completion;

/* Takes up to `most` completions without waiting; returns how many. */
VARVE_API int varve_queue_poll(varve_queue* queue, varve_completion* completions, unsigned most);
/* Waits until `least` (at most `most`) completions are there, or all that can come, or `timeout_ms` milliseconds are over (-1: any time);
 * then as varve_queue_poll(). */
VARVE_API int varve_queue_wait(varve_queue* queue, varve_completion* completions, unsigned least, unsigned most, int timeout_ms);
/* An eventfd that becomes readable when completions are there and were none: to put into an event loop. Read it empty, then poll until
 * nothing comes; a wake-up may find nothing. It is the queue's: it lives as long, and must not be closed. Returns a descriptor, or a
 * negative code. */
VARVE_API int varve_queue_eventfd(varve_queue* queue, varve_error** error);
/* What has not begun ends with VARVE_CANCELLED. Returns how many requests that are. */
VARVE_API int varve_queue_cancel(varve_queue* queue);
/* How many requests were submitted whose completion was not taken yet. */
VARVE_API unsigned varve_queue_in_flight(varve_queue* queue);

/* ---- snapshots, sizes ------------------------------------------------------------------------------------------------------------- */

/* Durable when they return. VARVE_UNSUPPORTED where the format has none, and of an image that is being created. All [exclusive]: a snapshot
 * holds what had ended before, and nothing that had not begun. `time`: nanoseconds since 1970-01-01 00:00 UTC. */
VARVE_API int varve_snapshot_create(varve_image* image, const char* name, uint64_t time, varve_error** error);
VARVE_API int varve_snapshot_delete(varve_image* image, const char* name, int held_too, varve_error** error);
VARVE_API int varve_snapshot_revert(varve_image* image, const char* name, varve_error** error);
VARVE_API int varve_snapshot_rename(varve_image* image, const char* name, const char* new_name, varve_error** error);

enum varve_snapshot_flags { VARVE_SNAPSHOT_CURRENT = 1, VARVE_SNAPSHOT_HELD = 2, VARVE_SNAPSHOT_BRANCH_POINT = 4 };

typedef struct varve_snapshot {
  const char* name; /* "" of a branch point */
  const char* uuid;
  uint64_t id;
  uint64_t parent; /* id; 0: none */
  uint64_t time;   /* nanoseconds since 1970-01-01 00:00 UTC */
  uint64_t virtual_size;
  uint64_t exclusive_bytes; /* that deleting it would free; UINT64_MAX: not known */
  uint32_t flags;
  uint32_t reserved;
} varve_snapshot;
/* Calls `show` for each, parents before children; its strings live during the call. [exclusive] */
typedef void varve_snapshot_fn(void* user, const varve_snapshot* snapshot);
VARVE_API int varve_snapshot_list(varve_image* image, varve_snapshot_fn* show, void* user, varve_error** error);

/* Grows with zeros, or shrinks if `shrink` is not 0. Requests that reach behind a new end fail. [exclusive] */
VARVE_API int varve_resize(varve_image* image, uint64_t size, int shrink, varve_error** error);

/* ---- whole images ------------------------------------------------------------------------------------------------------------------- */

/* Of the bytes to be dealt with, so many are done. Not 0: end with VARVE_CANCELLED. From any thread, never from two at once; NULL: none. */
typedef int varve_progress_fn(void* user, uint64_t done, uint64_t total);

enum varve_severity { VARVE_NOTE = 0, VARVE_LEAK = 1, VARVE_DAMAGE = 2 };

typedef struct varve_finding {
  const char* message;  /* one line; what it quotes from the image is escaped */
  uint64_t file_offset; /* UINT64_MAX: not known */
  uint64_t disk_offset; /* UINT64_MAX: not known */
  uint64_t disk_length;
  uint32_t severity;
  uint32_t repaired; /* not 0: it is no more */
} varve_finding;

typedef struct varve_check_report {
  uint64_t damages; /* not repaired */
  uint64_t leaks;   /* not repaired */
  uint64_t repaired;
  uint64_t leaked_bytes;
  uint64_t allocated_bytes;
  uint64_t reserved[3];
} varve_check_report;

/* Looks at the whole structure of the image's topmost layer and, if `data` is not 0, at everything that is stored. `repair` is "none",
 * "safe" (only what cannot lose data) or "all". Findings are not failures: 0 is returned, and `report` counts them. `show` (may be NULL) is
 * called for the first thousand. [exclusive] */
typedef void varve_finding_fn(void* user, const varve_finding* finding);
VARVE_API int varve_check(varve_image* image, const char* repair, int data, varve_finding_fn* show, varve_progress_fn* progress, void* user,
                          varve_check_report* report, varve_error** error);

/* Copies the disk at path `source` into a new image at path `target`, which appears when it is complete. The options `format` of both must
 * be set. `threads` of the target's options bounds the work. [any thread] */
VARVE_API int varve_convert(const char* source, const varve_options* source_options, const char* target,
                            const varve_options* target_options, varve_progress_fn* progress, void* user, varve_error** error);
/* Copies the disk of one open image into another that is at least as large; the rest of it is zeroed. Neither is closed. While it runs
 * nothing else may change the target. [any thread] */
VARVE_API int varve_copy(varve_image* source, varve_image* target, varve_progress_fn* progress, void* user, varve_error** error);

#ifdef __cplusplus
}
#endif

#endif
