/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A shim in this process, with an io thread of its own and a screen made of
 * plain memory. The test's thread is the display thread: nothing is read but
 * inside its own calls, so every test is in control of time.
 */
#ifndef HELIX_TEST_SHIM_H
#define HELIX_TEST_SHIM_H

#include <pthread.h>
#include <sys/types.h>

#include <glib.h>

#include "helix-platform.h"
#include "helix-sim-later.h"
#include "helix-sim-loop.h"

#define TEST_TIMEOUT_NS 20000000000u /* for anything that must happen */
#define TEST_RESOURCES 24u

struct test_resource {
  uint32_t width, height; /* 0 = does not exist */
  uint32_t *pixels;
  bool unreadable;
};

struct test_shim {
  char *dir, *path;
  struct helix_shim *shim;
  struct helix_sim_loops loops;
  pthread_t io_thread;
  bool running;
  bool pending; /* readbacks are, until test_read_done () */
  struct helix_sim_later later;
  bool elsewhere; /* entries, but for the loop's, come from another thread */
  struct test_resource resource[TEST_RESOURCES]; /* by id */
  GSList *clients; /* freed with it, by free_client */
  void (*free_client) (gpointer client);
  uint64_t reads, read_bytes; /* what the shim asked of the screen */
  uint64_t last_read;         /* resource id */
  uint64_t lookups;           /* of resources by id */
  struct helix_set_scanout set[HELIX_MAX_SCANOUTS]; /* asked of it last */
  guint sets;
  const char *refuse_set; /* why it does not do that, NULL = it does */
  pthread_mutex_t log_lock;
  GString *log;
};

/* A temporary directory; and its removal with all that is in it. */
char *test_dir_new (void);
void test_dir_free (char *dir);

/* Shims of tests are not to be found by others, nor others by tests: from here
 * on $XDG_RUNTIME_DIR is this process's own. */
void test_own_runtime_dir (void);

/* Where `config` says nothing, or is NULL: three slots, 16 clients; four
 * scanouts in any case. `path` NULL: in a directory of its own. Does not
 * listen. */
struct test_shim *test_shim_make (
    const struct helix_shim_config *config, const char *path);
/* Listens in a directory of its own, and starts the io thread. */
struct test_shim *test_shim_new (const struct helix_shim_config *config);
void test_shim_start (struct test_shim *test);
/* The io thread alone: it listens when helix_shim_serve says so. */
void test_shim_start_io (struct test_shim *test);
/* Ends the io thread with helix_shim_io_stop. */
void test_shim_stop (struct test_shim *test);
/* With all clients that are left. */
void test_shim_free (struct test_shim *test);

/* A resource of random pixels. */
void test_resource_new (
    struct test_shim *test, uint32_t id, uint32_t width, uint32_t height);
/* Shows all of a resource on a scanout; 0 = off. */
void test_show (struct test_shim *test, uint32_t scanout, uint32_t id);
void test_show_part (struct test_shim *test, uint32_t scanout, uint32_t id,
    struct helix_rect rect);
/* New random pixels in `rect`; the second flushes them too. */
void test_draw (struct test_shim *test, uint32_t id, struct helix_rect rect);
void test_draw_flush (
    struct test_shim *test, uint32_t id, struct helix_rect rect);

/* Completes the oldest readback that is pending, with its pixels as they were
 * when it began; `why`: it fails. */
void test_read_done (struct test_shim *test, const char *why);

/* One round of the display thread's loop, for at most `timeout_ms`. */
void test_round (struct test_shim *test, unsigned timeout_ms);
/* Rounds until `condition`; fails the test with it after TEST_TIMEOUT_NS. */
#define test_until(test, condition) \
  do { \
    const uint64_t test_limit = helix_now_ns () + TEST_TIMEOUT_NS; \
\
    while (!(condition)) \
      test_wait ((test), test_limit, #condition); \
  } while (0)
/* One round of them. */
void test_wait (struct test_shim *test, uint64_t limit_ns, const char *what);
/* Waits until a line with `text` has been logged. */
void test_until_logged (struct test_shim *test, const char *text);
bool test_logged (struct test_shim *test, const char *text);
/* How often it has been logged. */
guint test_log_count (struct test_shim *test, const char *text);
/* What has been logged so far; free with g_free. */
char *test_log (struct test_shim *test);
void test_log_clear (struct test_shim *test);

struct helix_shim_stats test_stats (struct test_shim *test);

/* Descriptors this process has open. */
guint test_open_fds (void);

#endif /* HELIX_TEST_SHIM_H */
