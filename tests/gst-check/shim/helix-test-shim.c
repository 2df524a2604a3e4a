/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "helix-test-shim.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gst/check/gstcheck.h>

char *
test_dir_new (void)
{
  char *dir = g_dir_make_tmp ("helix-test-XXXXXX", NULL);

  fail_unless (dir != NULL);
  return dir;
}

void
test_dir_free (char *dir)
{
  GDir *entries = g_dir_open (dir, 0, NULL);
  const char *name;

  while (entries && (name = g_dir_read_name (entries))) {
    char *path = g_build_filename (dir, name, NULL);

    if (unlink (path) < 0)
      rmdir (path);
    g_free (path);
  }
  if (entries)
    g_dir_close (entries);
  rmdir (dir);
  g_free (dir);
}

static char *runtime_dir;

static void
remove_runtime_dir (void)
{
  char *folder = g_build_filename (runtime_dir, "gst-helix", NULL);

  test_dir_free (folder);
  test_dir_free (runtime_dir);
}

void
test_own_runtime_dir (void)
{
  if (runtime_dir)
    return;
  runtime_dir = test_dir_new ();
  g_setenv ("XDG_RUNTIME_DIR", runtime_dir, TRUE);
  atexit (remove_runtime_dir);
}

/* ---- the tables of functions ---- */

static bool
may_read (void *opaque)
{
  struct test_shim *test = opaque;

  return !test->elsewhere;
}

static void
read_box (
    void *opaque, const struct helix_rect *box, void *dst, uint32_t stride)
{
  const struct test_resource *resource = opaque;
  uint8_t *row = dst;

  fail_unless (box->x + box->width <= resource->width);
  fail_unless (box->y + box->height <= resource->height);
  for (uint32_t y = 0; y < box->height; y++, row += stride)
    memcpy (row,
        resource->pixels + (size_t) (box->y + y) * resource->width + box->x,
        (size_t) box->width * 4);
}

static enum helix_read
read_pixels (void *opaque, struct helix_readback *readback, const char **why)
{
  struct test_shim *test = opaque;
  uint32_t id = readback->surface.resource_id;

  fail_unless (!test->elsewhere);
  fail_unless (id < TEST_RESOURCES);
  fail_unless (test->resource[id].pixels, "a resource that is gone was read");
  fail_unless (readback->boxes >= 1);
  test->reads++;
  test->last_read = id;
  if (test->resource[id].unreadable) {
    *why = "the test says so";
    return HELIX_READ_FAILED;
  }
  for (uint32_t i = 0; i < readback->boxes; i++)
    test->read_bytes +=
        (uint64_t) readback->box[i].width * readback->box[i].height * 4;
  if (test->pending) {
    helix_sim_later_read (
        &test->later, readback, read_box, &test->resource[id]);
    return HELIX_READ_PENDING;
  }
  for (uint32_t i = 0; i < readback->boxes; i++)
    read_box (&test->resource[id], &readback->box[i],
        helix_readback_dst (readback, i), readback->stride);
  return HELIX_READ_DONE;
}

static bool
get_resource (void *opaque, uint32_t id, struct helix_surface *surface)
{
  struct test_shim *test = opaque;

  test->lookups++;
  fail_unless (!test->elsewhere);
  if (id >= TEST_RESOURCES || !test->resource[id].pixels)
    return false;
  memset (surface, 0, sizeof *surface);
  surface->resource_id = id;
  surface->rect.width = test->resource[id].width;
  surface->rect.height = test->resource[id].height;
  surface->fourcc = HELIX_FOURCC_BGRX;
  return true;
}

/* What the guest does comes later: tests say it themselves. */
static bool
set_scanout (
    void *opaque, const struct helix_set_scanout *set, const char **why)
{
  struct test_shim *test = opaque;

  test->set[set->scanout] = *set;
  test->sets++;
  if (test->refuse_set)
    *why = test->refuse_set;
  return !test->refuse_set;
}

static void
take_log (void *opaque, enum helix_log_level level, const char *line)
{
  struct test_shim *test = opaque;

  pthread_mutex_lock (&test->log_lock);
  g_string_append_printf (test->log, "%s\n", line);
  pthread_mutex_unlock (&test->log_lock);
}

/* ---- life ---- */

struct test_shim *
test_shim_make (const struct helix_shim_config *config, const char *path)
{
  static const struct helix_display_ops display = {.may_read = may_read,
      .read = read_pixels,
      .resource = get_resource,
      .set_scanout = set_scanout,
      .log = take_log};
  const struct helix_shim_config none = {0};
  struct helix_shim_config own = config ? *config : none;
  struct test_shim *test = g_new0 (struct test_shim, 1);

  test_own_runtime_dir ();
  test->dir = path ? NULL : test_dir_new ();
  test->path =
      path ? g_strdup (path) : g_build_filename (test->dir, "helix.sock", NULL);
  own.path = test->path;
  own.name = "test-shim";
  own.scanouts = 4;
  own.scanout_mask = own.scanout_mask ? own.scanout_mask : 0xffff;
  own.slots = own.slots ? own.slots : 3;
  own.max_clients = own.max_clients ? own.max_clients : 16;
  test->log = g_string_new (NULL);
  pthread_mutex_init (&test->log_lock, NULL);
  helix_sim_loops_init (&test->loops, NULL);
  helix_sim_later_init (&test->later, &test->loops, HELIX_NONE64);
  test->shim =
      helix_shim_new (&own, &display, test, &helix_sim_loop_ops, &test->loops);
  test->loops.shim = test->shim;
  return test;
}

static void *
io_main (void *opaque)
{
  struct test_shim *test = opaque;

  helix_sim_loop_run (&test->loops.io);
  helix_shim_io_stop (test->shim);
  return NULL;
}

void
test_shim_start (struct test_shim *test)
{
  char *error = NULL;

  fail_unless (helix_shim_listen (test->shim, &error), "%s", error);
  test_shim_start_io (test);
}

void
test_shim_start_io (struct test_shim *test)
{
  fail_unless (pthread_create (&test->io_thread, NULL, io_main, test) == 0);
  test->running = true;
}

struct test_shim *
test_shim_new (const struct helix_shim_config *config)
{
  struct test_shim *test = test_shim_make (config, NULL);

  test_shim_start (test);
  return test;
}

void
test_shim_stop (struct test_shim *test)
{
  if (!test->running)
    return;
  test->running = false;
  helix_sim_loop_quit (&test->loops.io);
  pthread_join (test->io_thread, NULL);
}

void
test_shim_free (struct test_shim *test)
{
  while (test->clients)
    test->free_client (test->clients->data);
  test_shim_stop (test);
  helix_sim_later_clear (&test->later);
  helix_shim_free (test->shim);
  helix_sim_loops_clear (&test->loops);
  for (uint32_t i = 0; i < TEST_RESOURCES; i++)
    g_free (test->resource[i].pixels);
  g_string_free (test->log, TRUE);
  pthread_mutex_destroy (&test->log_lock);
  if (test->dir)
    test_dir_free (test->dir);
  g_free (test->path);
  g_free (test);
}

/* ---- the screen ---- */

/* g_random_int () takes a lock, and 20 times as long under Valgrind. */
static void
scribble (struct test_resource *resource, const struct helix_rect *rect)
{
  uint32_t word = g_random_int () | 1;

  for (uint32_t y = rect->y; y < rect->y + rect->height; y++)
    for (uint32_t x = rect->x; x < rect->x + rect->width; x++)
      resource->pixels[(size_t) y * resource->width + x] = word =
          word * 1664525u + 1013904223u;
}

void
test_resource_new (
    struct test_shim *test, uint32_t id, uint32_t width, uint32_t height)
{
  struct test_resource *resource = &test->resource[id];
  struct helix_rect all = {0, 0, width, height};

  g_free (resource->pixels);
  memset (resource, 0, sizeof *resource);
  resource->width = width;
  resource->height = height;
  resource->pixels = g_malloc ((size_t) width * height * 4);
  scribble (resource, &all);
}

void
test_show_part (struct test_shim *test, uint32_t scanout, uint32_t id,
    struct helix_rect rect)
{
  struct helix_surface surface = {
      .resource_id = id, .rect = rect, .fourcc = HELIX_FOURCC_BGRX};

  helix_shim_display_scanout (test->shim, scanout, &surface);
}

void
test_show (struct test_shim *test, uint32_t scanout, uint32_t id)
{
  struct helix_rect all = {
      0, 0, test->resource[id].width, test->resource[id].height};

  test_show_part (test, scanout, id, all);
}

void
test_draw (struct test_shim *test, uint32_t id, struct helix_rect rect)
{
  scribble (&test->resource[id], &rect);
}

void
test_draw_flush (struct test_shim *test, uint32_t id, struct helix_rect rect)
{
  test_draw (test, id, rect);
  helix_shim_display_flush (test->shim, id, &rect);
}

void
test_read_done (struct test_shim *test, const char *why)
{
  fail_unless (helix_sim_later_end (&test->later, why), "no readback pends");
}

/* ---- time ---- */

static void
nothing (void *opaque)
{
}

void
test_round (struct test_shim *test, unsigned timeout_ms)
{
  struct helix_sim_loop *display = &test->loops.display;
  GSource *limit = helix_sim_loop_timer (display, nothing, NULL);
  bool elsewhere = test->elsewhere;

  helix_sim_timer_set (
      limit, helix_now_ns () + timeout_ms * UINT64_C (1000000));
  /* The loop's own thread may read. */
  test->elsewhere = false;
  /* A new timer ends GLib's wait, which is no event. */
  while (!g_main_context_iteration (display->context, TRUE))
    ;
  test->elsewhere = elsewhere;
  g_source_destroy (limit);
}

void
test_wait (struct test_shim *test, uint64_t limit_ns, const char *what)
{
  fail_unless (helix_now_ns () < limit_ns, "waited in vain: %s; log:\n%s", what,
      test_log (test));
  test_round (test, 20);
}

char *
test_log (struct test_shim *test)
{
  char *log;

  pthread_mutex_lock (&test->log_lock);
  log = g_strdup (test->log->str);
  pthread_mutex_unlock (&test->log_lock);
  return log;
}

bool
test_logged (struct test_shim *test, const char *text)
{
  return test_log_count (test, text) > 0;
}

guint
test_log_count (struct test_shim *test, const char *text)
{
  char *log = test_log (test);
  guint count = 0;

  for (const char *at = log; (at = strstr (at, text)); at += strlen (text))
    count++;
  g_free (log);
  return count;
}

void
test_log_clear (struct test_shim *test)
{
  pthread_mutex_lock (&test->log_lock);
  g_string_truncate (test->log, 0);
  pthread_mutex_unlock (&test->log_lock);
}

void
test_until_logged (struct test_shim *test, const char *text)
{
  test_until (test, test_logged (test, text));
}

struct helix_shim_stats
test_stats (struct test_shim *test)
{
  struct helix_shim_stats stats;

  helix_shim_get_stats (test->shim, &stats);
  return stats;
}

/* ---- the process ---- */

guint
test_open_fds (void)
{
  guint n = 0;

  for (int fd = 0; fd < 4096; fd++) {
    struct stat st;

    n += fstat (fd, &st) == 0;
  }
  return n;
}
