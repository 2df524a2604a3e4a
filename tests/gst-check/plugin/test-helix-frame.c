/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <gst/check/gstcheck.h>
#include <string.h>
#include <unistd.h>

#include "helix-frame.h"
#include "helix-pack.h"
#include "helix-platform.h"
#include "helix-test-fds.h"

#define SLOTS 4
#define SLOT_SIZE 8192

static HelixConnection *connection;
static int peer; /* the shim's end */
static guint8 *map;
static int client_fd;
static struct helix_pool info;

static void
setup (void)
{
  int fds[2];
  void *mapped;

  test_socketpair (fds);
  peer = fds[1];
  connection = helix_connection_new (fds[0], &(HelixConnectionConfig){NULL}, 0);
  fail_unless (helix_shm_create (SLOTS * SLOT_SIZE, &mapped, &client_fd) == 0
      && helix_shm_populate (mapped, SLOTS * SLOT_SIZE) == 0);
  map = mapped;
  memset (&info, 0, sizeof info);
  info.pool_id = 5;
  info.kind = helix_shm_is_sealed () ? HELIX_POOL_SEALED : HELIX_POOL_FILE;
  info.slots = SLOTS;
  info.slot_size = SLOT_SIZE;
  info.total_size = SLOTS * SLOT_SIZE;
}

static void
teardown (void)
{
  helix_connection_unref (connection);
  close (peer);
  close (client_fd);
  helix_shm_unmap (map, SLOTS * SLOT_SIZE);
}

static HelixSlotPool *
pool_new (void)
{
  const char *why = NULL;
  HelixSlotPool *pool =
      helix_slot_pool_new (connection, 3, &info, client_fd, &why);

  fail_unless (pool != NULL, "%s", why);
  return pool;
}

/* `size`: of one row. */
static GstMemory *
take (HelixSlotPool *pool, guint slot, guint size, const guint8 **pixels,
    const char **why)
{
  const struct helix_frame frame = {
      .pool_id = 5, .slot = slot, .stride = size, .height = 1};

  return helix_slot_pool_take (pool, &frame, pixels, why);
}

/* Bit i: slot i of pool 5 was released on channel 3. */
static guint
released (void)
{
  guint8 bytes[HELIX_HEADER_SIZE + sizeof (struct helix_release)];
  struct helix_release release;
  struct helix_header header;
  const char *why;
  guint seen = 0;

  while (
      helix_recv (peer, bytes, sizeof bytes, NULL) == (ssize_t) sizeof bytes) {
    fail_unless (helix_unpack_header (&header, bytes, &why));
    fail_unless_equals_int (header.type, HELIX_RELEASE);
    fail_unless_equals_int (header.channel, 3);
    fail_unless (helix_unpack_release (
        &release, bytes + HELIX_HEADER_SIZE, header.size, &why));
    fail_unless_equals_int (release.pool_id, 5);
    fail_if (seen & 1u << release.slot);
    seen |= 1u << release.slot;
  }
  return seen;
}

/* A slot belongs to one holder; its memory, and parts of that, are read-only,
 * and the last of them gives it back. */
GST_START_TEST (test_memory)
{
  HelixSlotPool *pool = pool_new ();
  GstMemory *memory, *part;
  const guint8 *pixels;
  const char *why;
  GstMapInfo mapped;

  memcpy (map + SLOT_SIZE, "the screen", 10);
  fail_unless_equals_int (helix_slot_pool_free_slots (pool), SLOTS);
  memory = take (pool, 1, 4096, &pixels, &why);
  fail_unless (memcmp (pixels, "the screen", 10) == 0);
  fail_unless (take (pool, 1, 4096, &pixels, &why) == NULL);
  fail_unless (strstr (why, "not given back") != NULL);
  fail_unless_equals_int (helix_slot_pool_free_slots (pool), SLOTS - 1);
  fail_unless (gst_memory_is_type (memory, GST_ALLOCATOR_SYSMEM));
  fail_unless (gst_memory_map (memory, &mapped, GST_MAP_READ));
  fail_unless_equals_int (mapped.size, 4096);
  fail_unless (memcmp (mapped.data, "the screen", 10) == 0);
  gst_memory_unmap (memory, &mapped);
  fail_if (gst_memory_map (memory, &mapped, GST_MAP_WRITE));
  part = gst_memory_share (memory, 4, 6);
  gst_memory_unref (memory);
  fail_unless_equals_int (released (), 0);
  fail_unless (gst_memory_map (part, &mapped, GST_MAP_READ));
  fail_unless (memcmp (mapped.data, "screen", 6) == 0);
  gst_memory_unmap (part, &mapped);
  gst_memory_unref (part);
  fail_unless_equals_int (released (), 1u << 1);
  helix_slot_pool_free (pool);
}
GST_END_TEST;

static gpointer
let_go (gpointer memory)
{
  gst_memory_unref (memory);
  return NULL;
}

GST_START_TEST (test_release_from_threads)
{
  HelixSlotPool *pool = pool_new ();
  GThread *threads[SLOTS];
  const guint8 *pixels;
  const char *why;

  for (guint round = 0; round < 100; round++) {
    for (guint i = 0; i < SLOTS; i++)
      threads[i] =
          g_thread_new ("let-go", let_go, take (pool, i, 64, &pixels, &why));
    for (guint i = 0; i < SLOTS; i++)
      g_thread_join (threads[i]);
    fail_unless_equals_int (released (), (1u << SLOTS) - 1);
  }
  helix_slot_pool_free (pool);
}
GST_END_TEST;

/* The memory outlives the pool, and then goes without a message. */
GST_START_TEST (test_retired)
{
  HelixSlotPool *pool = pool_new ();
  const guint8 *pixels;
  const char *why;
  GstMemory *memory = take (pool, 0, 64, &pixels, &why);
  GstMapInfo mapped;

  helix_slot_pool_free (pool);
  fail_unless (gst_memory_map (memory, &mapped, GST_MAP_READ));
  fail_unless_equals_int (mapped.data[63], 0);
  gst_memory_unmap (memory, &mapped);
  gst_memory_unref (memory);
  fail_unless_equals_int (released (), 0);
}
GST_END_TEST;

GST_START_TEST (test_bad_sizes)
{
  const char *why = NULL;

  info.total_size += 4096;
  fail_unless (
      helix_slot_pool_new (connection, 3, &info, client_fd, &why) == NULL);
  fail_unless_equals_int (errno, EPROTO);
  fail_unless (strstr (why, "contradict") != NULL);
}
GST_END_TEST;

static Suite *
helix_frame_suite (void)
{
  Suite *s = suite_create ("helix-frame");
  TCase *tc = tcase_create ("general");

  suite_add_tcase (s, tc);
  tcase_add_checked_fixture (tc, setup, teardown);
  tcase_add_test (tc, test_memory);
  tcase_add_test (tc, test_release_from_threads);
  tcase_add_test (tc, test_retired);
  tcase_add_test (tc, test_bad_sizes);
  return s;
}

GST_CHECK_MAIN (helix_frame);
